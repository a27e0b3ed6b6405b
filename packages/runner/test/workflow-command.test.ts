import { describe, expect, it } from '@jest/globals';
import type { Annotation } from '../src/job-result.ts';
import { parseCommand, WorkflowCommands } from '../src/workflow-command.ts';

/** Feeds lines to the commands of one process and answers everything that came of it. */
function obey(lines: string[], { echo = false, unsecure = false } = {}) {
  const seen = {
    printed: [] as string[],
    debug: [] as string[],
    annotations: [] as Annotation[],
    masks: [] as string[],
    outputs: {} as Record<string, string>,
    state: {} as Record<string, string>,
    env: {} as Record<string, string>,
    paths: [] as string[],
    failed: false,
  };
  const commands = new WorkflowCommands({
    output: (line) => seen.printed.push(line),
    debug: (line) => seen.debug.push(line),
    annotate: (annotation) => seen.annotations.push(annotation),
    addMask: (data) => seen.masks.push(data),
    setOutput: (name, value) => {
      seen.outputs[name] = value;
    },
    saveState: (name, value) => {
      seen.state[name] = value;
    },
    setEnv: (name, value) => {
      seen.env[name] = value;
    },
    addPath: (entry) => seen.paths.push(entry),
    fail: () => {
      seen.failed = true;
    },
    allowsUnsecure: () => unsecure,
    workspace: '/home/runner/work/boats/boats',
    echo,
  });
  for (const line of lines) commands.take(line);
  return seen;
}

describe('a line of output', () => {
  it.each([
    ['::warning::m', 'warning', {}, 'm'],
    [
      '  ::warning file=a.js,line=1,col=2::50%25%0Adone',
      'warning',
      { file: 'a.js', line: '1', col: '2' },
      '50%\ndone',
    ],
    ['\u00a0\t::warning::m', 'warning', {}, 'm'],
    ['::WARNING::m', 'WARNING', {}, 'm'],
    ['::warning title=a%3Ab%2Cc::m', 'warning', { title: 'a:b,c' }, 'm'],
    ['::warning title=::m', 'warning', {}, 'm'],
    ['::warning title=a=b::m', 'warning', { title: 'a=b' }, 'm'],
    ['::warning ::m::n', 'warning', {}, 'm::n'],
    ['::debug::%250A', 'debug', {}, '%0A'],
    ['::debug::%3A%2C', 'debug', {}, '%3A%2C'],
    ['##[add-mask]s', 'add-mask', {}, 's'],
    ['>>> ##[add-mask]x', 'add-mask', {}, 'x'],
    ['x ##[set-output name=a%3Bb;z=1]v%5D', 'set-output', { name: 'a;b', z: '1' }, 'v]'],
    ['::unknown::##[debug]m', 'debug', {}, 'm'],
  ])('is a command: %j', (line, name, properties, data) => {
    expect(parseCommand(line)).toEqual({ name, properties, data });
  });

  it.each([
    ['x ::add-mask::s'],
    ['::unknown::x'],
    ['::warning'],
    ['::warning file=x'],
    [': :warning::x'],
    [':: warning::x'],
    ['##[unknown]x'],
    ['##[add-mask'],
    ['\ufeff::warning::x'],
    ['[host] ::error::x'],
    ['## [error]x'],
    [''],
  ])('is plain text: %j', (line) => {
    expect(parseCommand(line)).toBeUndefined();
    expect(obey([line]).printed).toEqual([line]);
  });
});

describe('a command', () => {
  it('becomes an annotation and is not printed', () => {
    expect(obey(['  ::warning file=a.js,line=1,col=2::50%25%0Adone'])).toMatchObject({
      printed: [],
      annotations: [{ level: 'warning', file: 'a.js', line: 1, column: 2, message: '50%\ndone' }],
    });
  });

  it.each([
    ['::error file=/home/runner/work/boats/boats/src/a.js::m', { file: 'src/a.js' }],
    ['::error file=/etc/passwd::m', { file: '/etc/passwd' }],
    ['::error col=2::m', {}],
    ['::error endLine=3::m', { line: 3, endLine: 3 }],
    ['::error line=1,endLine=3,col=2::m', { line: 1, endLine: 3 }],
    ['::error line=3,endLine=1::m', {}],
    ['::error line=3,col=4,endColumn=2::m', { line: 3 }],
    ['::error line=3,endColumn=2::m', { line: 3, column: 2, endColumn: 2 }],
    ['::notice title=T::m', { title: 'T' }],
  ])('places its annotation: %s', (line, place) => {
    const level = line.startsWith('::notice') ? 'notice' : 'error';
    expect(obey([line]).annotations).toEqual([{ level, message: 'm', ...place }]);
  });

  it('sets outputs and state over stdout still', () => {
    expect(obey(['::set-output name=a::1%0A2', '::save-state name=b::x'])).toMatchObject({
      printed: [],
      outputs: { a: '1\n2' },
      state: { b: 'x' },
      failed: false,
    });
  });

  it.each([
    ['::set-env name=A::1'],
    ['::add-path::/x'],
    ['::set-output::x'],
    ['::save-state name=::x'],
    ['::echo::maybe'],
    ['::stop-commands::'],
    ['::stop-commands::pause-logging'],
    ['::stop-commands::add-mask'],
    ['::add-matcher::m.json'],
  ])('that is refused fails the step: %s', (line) => {
    expect(obey([line])).toMatchObject({ failed: true, env: {}, paths: [], outputs: {}, state: {} });
    expect(obey([line]).annotations.map(({ level }) => level)).toEqual(['error', 'error']);
  });

  it('may set variables and paths where the workflow allows it by name', () => {
    expect(obey(['::set-env name=A::1', '::add-path::/x'], { unsecure: true })).toMatchObject({
      env: { A: '1' },
      paths: ['/x'],
      failed: false,
    });
  });

  it('groups', () => {
    expect(obey(['::group::Deploy', 'x', '::endgroup::']).printed).toEqual([
      '##[group]Deploy',
      'x',
      '##[endgroup]',
    ]);
  });

  it('warns about an empty mask', () => {
    expect(obey(['::add-mask:: '])).toMatchObject({ masks: [], annotations: [{ level: 'warning' }] });
  });

  it('is echoed between echo on and off, a mask without its value', () => {
    expect(
      obey(['::echo::on', '::set-output name=a::1', '::add-mask::s', '::echo::off', '::set-output name=a::2'])
        .printed,
    ).toEqual(['::set-output name=a::1', '::add-mask::***', '::echo::off']);
  });
});

describe('stop-commands', () => {
  it('prints what comes verbatim until its token, a mask in clear', () => {
    expect(obey(['::stop-commands::t1', '::add-mask::s', '::t1::', '::add-mask::u'])).toMatchObject({
      printed: ['::stop-commands::t1', '::add-mask::s', '::t1::'],
      masks: ['u'],
      failed: false,
    });
  });

  it('masks a token longer than six characters', () => {
    expect(obey(['::stop-commands::1234567']).masks).toEqual(['1234567']);
    expect(obey(['::stop-commands::123456']).masks).toEqual([]);
  });

  it('is not ended by another token', () => {
    expect(obey(['::stop-commands::t1', '::t2::', '::error::x']).annotations).toEqual([]);
  });
});
