#!/usr/bin/env node
// The ticks of Node's loop while child_process spawns on it; see ../serve.hpp for the protocol.
const { spawn } = require('child_process');
const now = process.hrtime.bigint;
let memory;

function run(program) {
  return new Promise((resolve, reject) => {
    spawn(program, { stdio: 'inherit' }).on('error', reject).on('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Error('the child failed'));
    });
  });
}

async function tick(program, count) {
  const ticks = [];
  let timer;
  // As ticker.hpp has it.
  const arm = () => {
    const armed = now();
    timer = setTimeout(() => {
      ticks.push(now() - armed);
      arm();
    }, 1);
  };
  arm();
  try {
    for (let i = 0; i < count; ++i) await run(program);
  } finally {
    clearTimeout(timer);
  }
  return ticks;
}

async function answer(line) {
  const [verb, first, count, program] = line.split(' ');
  if (verb === 'touch') {
    // Each page written.
    memory = Buffer.alloc(Number(first), 1);
    return [];
  }
  if (verb !== 'run') throw new Error('no such request: ' + line);
  return tick(program, Number(count));
}

async function serve() {
  console.log('hello Node ' + process.versions.node);
  for await (const line of require('readline').createInterface({ input: process.stdin })) {
    try {
      const ticks = await answer(line);
      console.log(['ok ' + ticks.length, ...ticks.map((one) => one + ' 0')].join('\n'));
    } catch (problem) {
      console.log('error ' + problem.message);
    }
  }
}

serve();
