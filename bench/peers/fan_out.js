// fan_out N PROGRAM: PROGRAM for each line of stdin, N at once, by child_process.
const { spawn } = require('child_process');
const lines = require('fs').readFileSync(0, 'utf8').split('\n').slice(0, -1);
const [atOnce, program] = process.argv.slice(2);
let next = 0;

function start() {
  if (next === lines.length) return;
  spawn(program, [lines[next++]], { stdio: 'inherit' }).on('exit', (code) => {
    if (code !== 0) process.exit(1);
    start();
  });
}

for (let i = 0; i < Number(atOnce); ++i) start();
