// A process without a port: stands for a queue worker or a database that a deploy has to leave alone.
const { ROLE = 'worker', VERSION = 'unknown' } = process.env;
console.log(`${ROLE} ${VERSION} started`);
const timer = setInterval(() => {}, 60_000);
process.on('SIGTERM', () => {
  console.log(`${ROLE} ${VERSION} stopping`);
  clearInterval(timer);
});
