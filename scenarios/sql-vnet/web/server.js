// The contact manager: lists, adds and deletes contacts, and says which instance of the role served the page.
'use strict';

const http = require('node:http');
const { setTimeout: sleep } = require('node:timers/promises');

const maxForm = 8 * 1024; // bytes

// Text for HTML, in attributes too.
function escape(text) {
  const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return String(text).replace(/[&<>"']/g, (c) => entities[c]);
}

function page(instance, body) {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Contact Manager</title>
<style>
body { font: 1em sans-serif; margin: 2em auto; max-width: 42em; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #ccc; padding: .4em; text-align: left; }
footer { color: #666; margin-top: 2em; }
</style>
</head>
<body>
<h1>Contact Manager</h1>
${body}
<footer>Served by ${escape(instance)}</footer>
</body>
</html>
`;
}

function contactsTable(contacts) {
  const rows = contacts.map((c) => `<tr><td>${escape(c.name)}</td><td>${escape(c.email)}</td>
<td><form method="post" action="/contacts/${Number(c.id)}/delete"><button>Delete</button></form></td></tr>`);
  return `<table>
<tr><th>Name</th><th>Email</th><th></th></tr>
${rows.join('\n')}
</table>
<h2>New contact</h2>
<form method="post" action="/contacts">
<label>Name <input name="name" required maxlength="100"></label>
<label>Email <input name="email" type="email" required maxlength="200"></label>
<button>Add</button>
</form>`;
}

// An answer other than a page of contacts.
class Refusal extends Error {
  constructor(status, message, headers = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

async function readForm(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > maxForm) throw new Refusal(413, 'The form is too large.', { Connection: 'close' });
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
}

function field(form, name, longest) {
  const value = (form.get(name) ?? '').trim();
  if (value === '' || value.length > longest || value.includes('\0')) {
    throw new Refusal(400, `The contact needs a ${name} of 1 to ${longest} characters.`);
  }
  return value;
}

// Whether the database couldn't be reached, or was about to start or stop: SQLSTATE classes 08 and 57P, or no SQLSTATE at all.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
function isUnreachable(err) {
  return !/^[0-9A-Z]{5}$/.test(err.code ?? '') || err.code.startsWith('08') || err.code.startsWith('57P');
}

// createServer makes the HTTP server. The pool needs what pg's has: query(text, values).
// Reading waits up to `patience` milliseconds for a database that isn't up yet.
function createServer({ pool, instance, patience = 8000, pause = 250 }) {
  async function read(text, values) {
    const giveUp = Date.now() + patience;
    for (;;) {
      try {
        return await pool.query(text, values);
      } catch (err) {
        if (!isUnreachable(err) || Date.now() + pause > giveUp) throw err;
        await sleep(pause);
      }
    }
  }

  async function handle(request, response) {
    const path = request.url.split('?', 1)[0];
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const only = (wanted) => {
      if (method !== wanted) throw new Refusal(405, `Use ${wanted}.`, { Allow: wanted });
    };
    const send = (status, type, body, headers = {}) => {
      response.writeHead(status, { 'Content-Type': `${type}; charset=utf-8`, ...headers });
      response.end(request.method === 'HEAD' ? undefined : body);
    };
    const backToList = () => send(303, 'text/plain', '', { Location: '/' });

    const deleted = /^\/contacts\/([0-9]{1,9})\/delete$/.exec(path);
    if (path === '/') {
      only('GET');
      const { rows } = await read('SELECT id, name, email FROM contacts ORDER BY name, id');
      send(200, 'text/html', page(instance, contactsTable(rows)));
    } else if (path === '/contacts') {
      only('POST');
      const form = await readForm(request);
      const values = [field(form, 'name', 100), field(form, 'email', 200)];
      await pool.query('INSERT INTO contacts (name, email) VALUES ($1, $2)', values);
      backToList();
    } else if (deleted) {
      only('POST');
      await pool.query('DELETE FROM contacts WHERE id = $1', [Number(deleted[1])]);
      backToList();
    } else if (path === '/healthz') {
      only('GET');
      await pool.query('SELECT 1');
      send(200, 'text/plain', `ok ${instance}\n`);
    } else {
      throw new Refusal(404, 'There is no such page.');
    }
  }

  return http.createServer((request, response) => {
    response.setHeader('Cache-Control', 'no-store');
    response.setHeader('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'");
    handle(request, response).catch((err) => {
      let refusal = err;
      if (!(err instanceof Refusal)) {
        console.error(`${request.method} ${request.url}: ${err.message || err.code}`);
        refusal = isUnreachable(err)
          ? new Refusal(503, 'The database cannot be reached.', { 'Retry-After': '5' })
          : new Refusal(500, 'The page failed; the log of this instance says why.');
      }
      if (response.headersSent) {
        response.destroy();
        return;
      }
      response.writeHead(refusal.status, { 'Content-Type': 'text/html; charset=utf-8', ...refusal.headers });
      response.end(page(instance, `<p>${escape(refusal.message)}</p>`));
    });
  });
}

function main() {
  const { Pool } = require('pg');
  const instance = process.env.INSTANCE || 'an unnamed instance';
  const port = Number(process.env.PORT || 80);
  const pool = new Pool({ max: 8, connectionTimeoutMillis: 2000, query_timeout: 5000 }); // where: from PGHOST and its kin
  pool.on('error', (err) => console.error(`database: ${err.message}`)); // of an idle connection; the pool makes another
  const server = createServer({ pool, instance });
  server.on('error', (err) => {
    console.error(err.message);
    process.exit(1);
  });
  server.listen(port, '0.0.0.0', () => console.log(`${instance} serves contacts on port ${port}`));
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => process.exit(0));
  }
}

if (require.main === module) main();

module.exports = { createServer, escape };
