// Run with `node --test`; needs neither packages nor a database.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { createServer } = require('./server.js');

// A pool that keeps its queries and answers each with the next answer.
function fakePool(...answers) {
  const queries = [];
  return {
    queries,
    async query(text, values) {
      queries.push({ text, values });
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      if (answer instanceof Error) throw answer;
      return { rows: answer ?? [] };
    },
  };
}

function failure(code) {
  return Object.assign(new Error('it failed'), { code });
}

async function serve(t, pool, options = {}) {
  const server = createServer({ pool, instance: 'Web_IN_0', patience: 50, pause: 1, ...options });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return (path, request = {}) => fetch(`http://127.0.0.1:${server.address().port}${path}`, { redirect: 'manual', ...request });
}

const form = (fields) => ({ method: 'POST', body: new URLSearchParams(fields) });

test('the page lists contacts, escaped, and names the instance', async (t) => {
  const get = await serve(t, fakePool([{ id: 1, name: '<script>"&\'', email: 'a@example.com' }]));
  const response = await get('/');
  const text = await response.text();
  assert.equal(response.status, 200);
  assert.match(text, /&lt;script&gt;&quot;&amp;&#39;/);
  assert.doesNotMatch(text, /<script>/);
  assert.match(text, /Served by Web_IN_0/);
});

test('adding and deleting pass values as parameters', async (t) => {
  const pool = fakePool();
  const get = await serve(t, pool);
  const name = "Robert'); DROP TABLE contacts;--";
  const added = await get('/contacts', form({ name: ` ${name} `, email: 'bobby@example.com' }));
  assert.equal(added.status, 303);
  assert.equal(added.headers.get('location'), '/');
  assert.deepEqual(pool.queries[0].values, [name, 'bobby@example.com']);
  assert.ok(!pool.queries[0].text.includes('Robert'));
  assert.equal((await get('/contacts/12/delete', { method: 'POST' })).status, 303);
  assert.deepEqual(pool.queries[1].values, [12]);
});

test('bad requests are refused and never reach the database', async (t) => {
  const pool = fakePool();
  const get = await serve(t, pool);
  for (const [path, request, status] of [
    ['/nothing', {}, 404],
    ['/contacts/x/delete', { method: 'POST' }, 404],
    ['/contacts', {}, 405],
    ['/contacts/1/delete', {}, 405],
    ['/', { method: 'DELETE' }, 405],
    ['/contacts', form({}), 400],
    ['/contacts', form({ name: ' ', email: 'a@example.com' }), 400],
    ['/contacts', form({ name: 'x'.repeat(101), email: 'a@example.com' }), 400],
    ['/contacts', form({ name: 'nul\0', email: 'a@example.com' }), 400],
    ['/contacts', form({ name: 'x'.repeat(10_000), email: 'a@example.com' }), 413],
  ]) {
    const response = await get(path, request);
    await response.text();
    assert.equal(response.status, status, `${request.method ?? 'GET'} ${path}`);
  }
  assert.equal(pool.queries.length, 0);
});

test('a database that comes up late is waited for', async (t) => {
  const get = await serve(t, fakePool(failure('ECONNREFUSED'), failure('57P03'), []), { patience: 5000 });
  assert.equal((await get('/')).status, 200);
});

test('a database that stays away gives 503, an error of SQL gives 500', async (t) => {
  const away = await serve(t, fakePool(failure('ECONNREFUSED')));
  assert.equal((await away('/')).status, 503);
  assert.equal((await away('/healthz')).status, 503);
  const broken = await serve(t, fakePool(failure('42P01')));
  assert.equal((await broken('/')).status, 500);
});

test('/healthz says ok, HEAD has no body', async (t) => {
  const get = await serve(t, fakePool());
  assert.equal(await (await get('/healthz')).text(), 'ok Web_IN_0\n');
  assert.equal(await (await get('/', { method: 'HEAD' })).text(), '');
});
