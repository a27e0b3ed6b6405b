// Exit 0 when the app beside it says that it is healthy.
import { get } from 'node:http';

const { HOST = '127.0.0.1', PORT = '8000' } = process.env;
const request = get({ host: HOST, port: Number(PORT), path: '/health/', timeout: 5000 }, (response) => {
  let body = '';
  response.setEncoding('utf8');
  response.on('data', (text) => {
    body += text;
  });
  response.on('end', () => {
    console.log(`${response.statusCode} ${body.slice(0, 500)}`);
    process.exitCode = response.statusCode === 200 ? 0 : 1;
  });
});
request.on('timeout', () => request.destroy(new Error('no answer within 5 s')));
request.on('error', (error) => {
  console.log(`GET /health/: ${error.message}`);
  process.exitCode = 1;
});
