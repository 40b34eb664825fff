import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import kafkajs, { type AclEntry, type Admin } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalKafka, startKafka } from '#mner/local/kafka.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import type { Broker } from '#mner/stream/port.js';
import { inbox } from '../stream/inbox.js';
import { freshName, text } from '../stream/names.js';
import { LONG, seen } from '../support/seen.js';
import { TINY } from '../support/servers.js';
import { mner, startWorker } from '../support/worker-process.js';
import { eventually } from '../support/worker-stage.js';

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs;
const page = readFileSync(new URL('../../docs/security.md', import.meta.url), 'utf8');
const absent = !process.env.MNER_TEST_BROKERS;

/** One operation of a row of the table. */
interface Right {
  readonly command: string;
  readonly resource: string;
  readonly name: string;
  readonly pattern: string;
  readonly operation: string;
}

/** The table of rights in docs/security.md: what the tests grant is what the page says. */
const RIGHTS: readonly Right[] = page
  .split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .filter((cells) => /^(Topic|Group|TransactionalId)$/.test(cells[2] ?? ''))
  .flatMap(([, command = '', resource = '', name = '', pattern = '', operations = '']) =>
    operations.split(', ').map((operation) => ({
      command: command.replaceAll('`', ''),
      resource,
      name: name.replaceAll('`', ''),
      pattern,
      operation,
    })),
  );

const rightsOf = (...commands: string[]) => RIGHTS.filter(({ command }) => commands.includes(command));
const RUN = rightsOf('run');
const EXTRAS = rightsOf('run with mentions_topic', 'run with replay_topic', 'run with retry_topic');
const ONCE = rightsOf('run', 'run with delivery: exactly_once');

const TOPICS = ['input_topic', 'output_topic', 'dead_letter_topic', 'mentions_topic', 'replay_topic', 'retry_topic'];

/** A tweet whose picture cannot be had for now: nobody answers there. */
const NOBODY = '127.0.0.1:1';
const PUT_OFF = `{"id":"2","text":"Kobe Bryant","media":[{"type":"photo","url":"http://${NOBODY}/a.jpg"}]}`;

/** Every user of these tests; each has rights of its own, so that no test waits for what another one revokes. */
const USERS = Array.from({ length: 90 }, (_, i) => `user-${i}`);

describe.skipIf(absent)(`the rights of docs/security.md${absent ? ' (skipped without MNER_TEST_BROKERS)' : ''}`, () => {
  let kafka: LocalKafka;
  let broker: Broker;
  let admin: Admin;

  beforeAll(async () => {
    const login = 'org.apache.kafka.common.security.plain.PlainLoginModule required';
    const users = USERS.map((user) => `user_${user}="${user}"`).join(' ');
    kafka = await startKafka({
      listeners: { RIGHTS: 'SASL_PLAINTEXT' },
      properties: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        // Who comes through the plain listener: the broker itself, and these tests.
        'super.users': 'User:ANONYMOUS',
        'listener.name.rights.sasl.enabled.mechanisms': 'PLAIN',
        'listener.name.rights.plain.sasl.jaas.config': `${login} ${users};`,
      },
    });
    broker = kafkaBroker({ brokers: kafka.brokers });
    await broker.connect();
    admin = new kafkajs.Kafka({ brokers: kafka.brokers, logLevel: kafkajs.logLevel.NOTHING }).admin();
    await admin.connect();
  }, 120_000);
  afterAll(async () => {
    await admin?.disconnect();
    await broker?.close();
    await kafka?.stop();
  });

  let next = 0;
  let made: Promise<void> = Promise.resolve();
  /** A user with these rights, to topics and a group of its own; the topics exist unless told otherwise. */
  const enter = async (rights: readonly Right[], { create = true } = {}) => {
    const user = USERS[next++] as string;
    const names: Record<string, string> = {};
    for (const key of [...TOPICS, 'group']) names[key] = freshName(key.replaceAll('_', '-'));
    const topics = Object.entries(names).flatMap(([key, topic]) => (key === 'group' ? [] : [topic]));
    // One after the other: a client that makes topics looks at all those that it has made, and trips over a new one.
    made = made.then(async () => {
      if (create) await broker.createTopics(topics.map((topic) => ({ topic, partitions: 1, replicas: 1 })));
    });
    await made;
    const acl = rights.map((right) => aclOf(user, right, names));
    if (acl.length > 0) await admin.createAcls({ acl });
    await granted(user, acl.length);
    const env = {
      ...TINY,
      MNER_BROKERS: kafka.listeners.RIGHTS?.join(',') ?? '',
      MNER_REDIS_URL: 'none',
      MNER_HTTP_PORT: '0',
      MNER_KAFKA_SASL_MECHANISM: 'plain',
      MNER_KAFKA_SASL_USERNAME: user,
      MNER_KAFKA_SASL_PASSWORD: user,
      MNER_INPUT_TOPIC: names.input_topic ?? '',
      MNER_OUTPUT_TOPIC: names.output_topic ?? '',
      MNER_DEAD_LETTER_TOPIC: names.dead_letter_topic ?? '',
      MNER_GROUP: names.group ?? '',
    };
    const extras = {
      MNER_MENTIONS_TOPIC: names.mentions_topic ?? '',
      MNER_REPLAY_TOPIC: names.replay_topic ?? '',
      MNER_RETRY_TOPIC: names.retry_topic ?? '',
      MNER_RETRY_DELAY_MS: '200',
      MNER_RETRY_ATTEMPTS: '2',
      MNER_IMAGE_MISSING: 'retry',
      MNER_IMAGE_ALLOW: NOBODY,
    };
    return { user, names, env, extras };
  };

  const held = async (user: string) => {
    const { resources } = await admin.describeAcls({
      principal: `User:${user}`,
      resourceType: AclResourceTypes.ANY,
      resourcePatternType: ResourcePatternTypes.ANY,
      operation: AclOperationTypes.ANY,
      permissionType: AclPermissionTypes.ANY,
    });
    return resources.reduce((sum, { acls }) => sum + acls.length, 0);
  };
  /** The authorizer learns of new rights a moment after they are acknowledged. */
  const granted = async (user: string, count: number) => {
    while ((await held(user)) < count);
  };
  /** Resolves when the authorizer knows. */
  const takeAway = async (user: string, right: Right, names: Readonly<Record<string, string>>) => {
    const before = await held(user);
    await admin.deleteAcls({ filters: [aclOf(user, right, names)] });
    while ((await held(user)) === before);
  };

  const putInto = async (topic: string | undefined, ...values: string[]) => {
    const producer = await broker.producer();
    await producer.send(
      { topic: topic ?? '', partition: 0 },
      values.map((value) => text(value)),
    );
  };

  it('are of the commands that there are, and name keys of the configuration', () => {
    expect(new Set(RIGHTS.map(({ command }) => command.split(' with')[0]))).toEqual(
      new Set(['run', 'topics --create', 'produce', 'tail', 'dlq list, dlq show', 'dlq redrive']),
    );
    expect(RUN).toHaveLength(4);
    expect(EXTRAS).toHaveLength(4);
    expect(ONCE).toHaveLength(5);
  });

  it.each([
    ['at_least_once', false],
    ['at_least_once', true],
    ['exactly_once', true],
  ])(
    'suffice for a worker that delivers %s (with mentions, replay and retries: %s)',
    async (delivery, all) => {
      const rights = [...(delivery === 'exactly_once' ? ONCE : RUN), ...(all ? EXTRAS : [])];
      const { names, env, extras } = await enter(rights);
      const { MNER_HTTP_PORT: _, ...rest } = env;
      const worker = await startWorker({ ...rest, ...(all ? extras : {}), MNER_DELIVERY: delivery });
      await putInto(names.input_topic, '{"id":"1","text":"Kobe Bryant"}', PUT_OFF, 'rubbish');
      const box = inbox();
      const topics = [names.output_topic ?? '', names.dead_letter_topic ?? ''];
      await broker.consumer({ topics, group: freshName('watch') }).start(box);
      await box.until(({ records }) => records.all.length === 3);
      expect(box.records.all.map(({ topic }) => topic).sort()).toEqual([topics[1], topics[0], topics[0]]);
      expect(await worker.stop()).toBe(0);
      const [one] = await broker.offsets(names.input_topic ?? '', names.group ?? '');
      // A transaction leaves a marker behind, but not in the input.
      expect(one?.committed).toBe(3n);
      const [retried] = await broker.offsets(names.retry_topic ?? '', names.group ?? '');
      expect((retried?.committed ?? 0n) > 0n).toBe(all);
    },
    90_000,
  );

  const without = (rights: readonly Right[], env: Record<string, string> = {}) =>
    rights.map((right) => ({ rights, right, env, what: `${right.operation} on ${right.resource} ${right.name}` }));

  it.concurrent.for([
    ...without(RUN).map((one) => ({ ...one, delivery: 'at_least_once' })),
    ...without([...RUN, ...EXTRAS])
      .slice(RUN.length)
      .map((one) => ({ ...one, delivery: 'at_least_once' })),
    ...without(ONCE).map((one) => ({ ...one, delivery: 'exactly_once' })),
  ])(
    'fault 17: a worker ($delivery) without $what ends with 4 and names it',
    { timeout: 120_000 },
    async ({ rights, right, delivery }, { task }) => {
      const left = rights.filter((one) => one !== right);
      const { names, env, extras } = await enter(left);
      const more = rights.length > RUN.length && delivery === 'at_least_once' ? extras : {};
      // For what shows only once a record goes there.
      if (more === extras) await putInto(names.input_topic, PUT_OFF);
      const ended = await mner(['run'], { env: { ...env, ...more, MNER_DELIVERY: delivery } });
      expectRefused(ended, nameOf(right, names));
      const [one] = await broker.offsets(names.input_topic ?? '', names.group ?? '');
      expect(one?.committed).toBeNull();
      seen(task, 'each right taken away in turn: exit code 4, the name of what it lacks, nothing committed');
    },
  );

  it.concurrent.for([
    ...without(RUN)
      .filter(({ right }) => right.name !== '{dead_letter_topic}')
      .map((one) => ({ ...one, delivery: 'at_least_once' })),
    ...without(ONCE)
      .slice(RUN.length)
      .map((one) => ({ ...one, delivery: 'exactly_once' })),
  ])(
    'fault 17: a worker ($delivery) whose $what is taken away while it runs ends with 4 and names it',
    { timeout: 120_000 },
    async ({ rights, right, delivery }, { task, onTestFinished }) => {
      const { user, names, env } = await enter(rights);
      const { MNER_HTTP_PORT: _, ...rest } = env;
      const worker = await startWorker({ ...rest, MNER_DELIVERY: delivery, MNER_START_FROM: 'earliest' });
      onTestFinished(async () => void (await worker.stop('SIGKILL')));
      const box = inbox();
      await putInto(names.input_topic, '{"id":"1","text":"Kobe Bryant"}');
      await broker.consumer({ topics: [names.output_topic ?? ''], group: freshName('watch') }).start(box);
      await box.until(({ records }) => records.all.length === 1);
      await takeAway(user, right, names);
      await putInto(names.input_topic, '{"id":"2","text":"Kobe Bryant"}');
      expect(await worker.ended).toBe(4);
      expectRefused({ code: 4, stderr: worker.log() }, nameOf(right, names));
      seen(task, 'each right taken away while a worker runs: exit code 4, the name of what it lacks');
    },
  );

  it('fault 19: the right to write dead letters is taken away while a worker runs: it waits until it has it again', {
    timeout: 120_000,
  }, async ({ task, onTestFinished }) => {
    const { user, names, env } = await enter(RUN);
    const { MNER_HTTP_PORT: _, ...rest } = env;
    const worker = await startWorker({ ...rest, MNER_START_FROM: 'earliest' });
    onTestFinished(async () => void (await worker.stop('SIGKILL')));
    const right = RUN.find(({ name }) => name === '{dead_letter_topic}') as Right;
    await takeAway(user, right, names);
    await putInto(names.input_topic, 'rubbish');
    await eventually(() => worker.log().includes('Dead letters cannot be written'));
    expect(worker.log()).toContain(names.dead_letter_topic);
    await admin.createAcls({ acl: [aclOf(user, right, names)] });
    const box = inbox();
    await broker.consumer({ topics: [names.dead_letter_topic ?? ''], group: freshName('watch') }).start(box);
    await box.until(({ records }) => records.all.length === 1);
    expect(await worker.stop()).toBe(0);
    seen(task, 'the right to it taken away while a worker runs: it waits, and goes on once it has it again');
  });

  it.runIf(LONG).for(['at_least_once', 'exactly_once'])(
    'fault 19: the right to write dead letters is taken away after one was written: what needs none goes on: %s',
    { timeout: 120_000 },
    async (delivery, { task, onTestFinished }) => {
      const { user, names, env } = await enter(delivery === 'exactly_once' ? ONCE : RUN);
      const { MNER_HTTP_PORT: _, ...rest } = env;
      const worker = await startWorker({ ...rest, MNER_DELIVERY: delivery, MNER_START_FROM: 'earliest' });
      onTestFinished(async () => void (await worker.stop('SIGKILL')));
      const [box, dead] = [inbox(), inbox()];
      await broker.consumer({ topics: [names.output_topic ?? ''], group: freshName('watch') }).start(box);
      await broker.consumer({ topics: [names.dead_letter_topic ?? ''], group: freshName('watch') }).start(dead);
      await putInto(names.input_topic, 'rubbish');
      await dead.until(({ records }) => records.all.length === 1);
      const right = RUN.find(({ name }) => name === '{dead_letter_topic}') as Right;
      await takeAway(user, right, names);
      // For longer than a client keeps to the topics that it has heard of.
      const began = performance.now();
      for (let round = 1; performance.now() - began < 40_000; round += 1) {
        await putInto(names.input_topic, `{"id":"${round}","text":"Kobe Bryant"}`);
        const out = box.until(({ records }) => records.all.length >= round);
        await Promise.race([out, worker.ended.then((code) => expect(`${code}`).toBe('running'))]);
        await delay(500);
      }
      expect(worker.log()).not.toMatch(/^mner: /m);
      const count = box.records.all.length;
      seen(
        task,
        `${delivery}: the right to it taken away after a dead letter, ${count} tweets out in the 40 s that followed`,
      );
    },
  );

  it.concurrent.for([
    ['what the worker needs', RUN],
    [
      'Describe on its topics',
      RUN.filter(({ resource }) => resource === 'Topic').map((right) => ({ ...right, operation: 'Describe' })),
    ],
  ] as const)('suffice for mner check: %s', { timeout: 120_000 }, async ([, rights]) => {
    const { names, env } = await enter(rights);
    const { code, stdout } = await mner(['check', '--json'], { env });
    const topics = ['input', 'output', 'dead_letter'].map((use) => names[`${use}_topic`]);
    const findings = JSON.parse(stdout) as { what: string; ok: boolean }[];
    expect(findings.filter(({ ok }) => !ok)).toEqual([]);
    expect(findings.map(({ what }) => what).filter((what) => what.startsWith('topic '))).toEqual(
      topics.map((topic) => expect.stringContaining(`topic ${topic} (`)),
    );
    expect(code).toBe(0);
  });

  it.concurrent.for(without(RUN.filter(({ resource }) => resource === 'Topic')))(
    'mner check without $what says so, with exit code 1',
    { timeout: 120_000 },
    async ({ rights, right }) => {
      const { names, env } = await enter(rights.filter((one) => one !== right));
      const { code, stdout } = await mner(['check', '--json'], { env });
      const wrong = (JSON.parse(stdout) as { ok: boolean; detail: string }[]).filter(({ ok }) => !ok);
      expect(wrong.map(({ detail }) => detail)).toEqual([expect.stringMatching(/this user lacks the right/)]);
      expect(wrong[0]?.detail).toContain(nameOf(right, names));
      expect(code).toBe(1);
    },
  );

  it('suffice to create the topics, to produce and to tail', async () => {
    const create = [...new Set(RIGHTS.map(({ command }) => command))].filter((one) =>
      one.startsWith('topics --create'),
    );
    const { names, env, extras } = await enter(rightsOf(...create, 'produce', 'tail'), { create: false });
    const args = ['topics', '--create', '--partitions', '1', '--replicas', '1'];
    const created = await mner(args, { env: { ...env, ...extras } });
    expect([created.code, created.stderr]).toEqual([0, '']);
    const produced = await mner(['produce', '-'], { env, input: '{"id":"1","text":"Kobe Bryant"}\n' });
    expect(produced.code).toBe(0);
    const record = readFileSync(new URL('../../docs/examples/tweets.ndjson', import.meta.url), 'utf8').split('\n')[0];
    const extracted = await mner(['extract', '-'], { env: TINY, input: `${record}\n` });
    const producer = await broker.producer();
    await producer.send({ topic: names.output_topic ?? '', partition: 0 }, [text(extracted.stdout.trim())]);
    const tailed = await mner(['tail', '--from-beginning', '--max', '1', '--json'], { env });
    expect([tailed.code, JSON.parse(tailed.stdout)]).toEqual([0, JSON.parse(extracted.stdout)]);
  }, 120_000);

  /** As a worker leaves one behind. */
  const leaveDeadLetter = async (names: Readonly<Record<string, string>>) => {
    const headers = Object.entries({
      'mner-error-code': 'bad_json',
      'mner-error-class': 'poison',
      'mner-error-message': 'The value is not JSON.',
      'mner-source-topic': names.input_topic ?? '',
      'mner-source-partition': '0',
      'mner-source-offset': '0',
      'mner-source-timestamp': '0',
      'mner-attempts': '1',
    }).map(([name, value]) => [name, Buffer.from(value)] as const);
    const producer = await broker.producer();
    await producer.send({ topic: names.dead_letter_topic ?? '', partition: 0 }, [text('rubbish', headers)]);
  };

  it('suffice to look at dead letters, and to send them back', async () => {
    const looking = await enter(rightsOf('dlq list, dlq show'));
    await leaveDeadLetter(looking.names);
    const listed = await mner(['dlq', 'list', '--json'], { env: looking.env });
    expect([listed.code, listed.stdout]).toEqual([0, expect.stringContaining('"bad_json"')]);
    const shown = await mner(['dlq', 'show', '0/0', '--raw'], { env: looking.env });
    expect([shown.code, shown.stdout]).toEqual([0, 'rubbish']);
    const sending = await enter(rightsOf('dlq redrive'));
    await leaveDeadLetter(sending.names);
    const sent = await mner(['dlq', 'redrive', '--yes'], { env: sending.env });
    expect([sent.code, sent.stderr]).toEqual([0, expect.stringMatching(/\b1 .*sent back/)]);
  }, 120_000);

  it.concurrent.each([
    ...without(rightsOf('dlq list, dlq show')).map((one) => ({ ...one, args: ['dlq', 'list'] })),
    ...without(rightsOf('dlq redrive')).map((one) => ({ ...one, args: ['dlq', 'redrive', '--yes'] })),
    ...without(rightsOf('topics --create')).map((one) => ({
      ...one,
      args: ['topics', '--create', '--partitions', '1', '--replicas', '1'],
    })),
    ...without(rightsOf('produce')).map((one) => ({ ...one, args: ['produce', '-'] })),
    ...without(rightsOf('tail')).map((one) => ({ ...one, args: ['tail', '--max', '1'] })),
  ])(
    'mner $args.0 $args.1 without $what ends with 4 and names it',
    { timeout: 120_000 },
    async ({ rights, right, args }) => {
      const left = rights.filter((one) => one !== right);
      const { names, env } = await enter(left, { create: args[0] !== 'topics' });
      if (args[0] === 'dlq') await leaveDeadLetter(names);
      const ended = await mner(args, { env, input: '{"id":"1","text":"Kobe Bryant"}\n' });
      expectRefused(ended, nameOf(right, names));
    },
  );

  const expectRefused = ({ code, stderr }: { code: number | null; stderr: string }, name: string) => {
    const sentences = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
    expect(sentences).toEqual([expect.stringMatching(/^mner: .*this user lacks the right .*\.$/)]);
    expect(sentences[0]).toContain(name);
    expect(code).toBe(4);
  };
});

function nameOf({ name }: Right, names: Readonly<Record<string, string>>): string {
  return name.replace(/\{(\w+)\}/g, (_, key: string) => names[key] ?? 'no such key');
}

function aclOf(user: string, right: Right, names: Readonly<Record<string, string>>): AclEntry {
  const resource = {
    Topic: AclResourceTypes.TOPIC,
    Group: AclResourceTypes.GROUP,
    TransactionalId: AclResourceTypes.TRANSACTIONAL_ID,
  }[right.resource];
  const operation = {
    Read: AclOperationTypes.READ,
    Write: AclOperationTypes.WRITE,
    Create: AclOperationTypes.CREATE,
    Describe: AclOperationTypes.DESCRIBE,
  }[right.operation];
  const pattern = { literal: ResourcePatternTypes.LITERAL, prefixed: ResourcePatternTypes.PREFIXED }[right.pattern];
  if (resource === undefined || operation === undefined || pattern === undefined)
    throw new Error(`docs/security.md has a right that nobody knows: ${JSON.stringify(right)}`);
  return {
    principal: `User:${user}`,
    host: '*',
    permissionType: AclPermissionTypes.ALLOW,
    operation,
    resourceType: resource,
    resourceName: nameOf(right, names),
    resourcePatternType: pattern,
  };
}
