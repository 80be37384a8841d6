// capture PROGRAM...: keeps what it writes.
const { spawn } = require('child_process');
const chunks = [];
spawn(process.argv[2], process.argv.slice(3), { stdio: ['inherit', 'pipe', 'inherit'] })
  .on('exit', (code) => { if (code !== 0) process.exit(1); })
  .stdout.on('data', (chunk) => chunks.push(chunk));
