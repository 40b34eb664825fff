import { describe, expect, it } from 'vitest';
import { type AddressPolicy, AddressRefused, addressPolicy } from '#mner/image/fetch/address.js';

const policy = addressPolicy({ own: () => ['203.0.114.7', '2600:1234::7'] });
const refusal = (text: string, by: AddressPolicy = policy) => by.refuseUrl(new URL(text));

describe('a URL', () => {
  it.each([
    ['loopback', 'http://127.0.0.1/'],
    ['loopback, shortened', 'http://127.1/'],
    ['loopback, decimal', 'http://2130706433/'],
    ['loopback, octal', 'http://0177.0.0.1/'],
    ['loopback, hexadecimal', 'http://0x7f000001/'],
    ['loopback, mixed', 'http://0x7f.0.0.01/'],
    ['loopback, full-width digits', 'http://１２７.０.０.１/'],
    ['this host', 'http://0.0.0.0/'],
    ['this host, shortened', 'http://0/'],
    ['private 10', 'http://10.1.2.3/'],
    ['private 172', 'http://172.16.0.1/'],
    ['private 192', 'https://192.168.1.1/'],
    ['carrier-grade NAT', 'http://100.64.0.1/'],
    ['metadata', 'http://169.254.169.254/latest/meta-data/'],
    ['metadata of Alibaba', 'http://100.100.100.200/'],
    ['metadata of Azure', 'http://168.63.129.16/'],
    ['multicast', 'http://224.0.0.1/'],
    ['broadcast', 'http://255.255.255.255/'],
    ['reserved', 'http://240.0.0.1/'],
    ['documentation', 'http://192.0.2.1/'],
    ['benchmarking', 'http://198.18.0.1/'],
    ['own address', 'http://203.0.114.7/'],
    ['IPv6 loopback', 'http://[::1]/'],
    ['IPv6 unspecified', 'http://[::]/'],
    ['IPv6 link-local', 'http://[fe80::1]/'],
    ['IPv6 unique local', 'http://[fd00:ec2::254]/'],
    ['IPv6 multicast', 'http://[ff02::1]/'],
    ['IPv6 documentation', 'http://[2001:db8::1]/'],
    ['IPv6 outside of what is given out', 'http://[4000::1]/'],
    ['own address, IPv6', 'http://[2600:1234:0::7]/'],
    ['IPv4-compatible', 'http://[::127.0.0.1]/'],
    ['mapped', 'http://[::ffff:127.0.0.1]/'],
    ['mapped, in hexadecimal', 'http://[::ffff:a9fe:a9fe]/'],
    ['mapped, of RFC 6145', 'http://[::ffff:0:10.0.0.1]/'],
    ['own address, mapped', 'http://[::ffff:203.0.114.7]/'],
    ['6to4', 'http://[2002:7f00:1::]/'],
    ['NAT64', 'http://[64:ff9b::10.0.0.1]/'],
    ['NAT64 of a local prefix', 'http://[64:ff9b:1::8.8.8.8]/'],
    ['Teredo with a private client', 'http://[2001:0:808:808::f5ff:fffe]/'],
    ['Teredo with a private server', 'http://[2001:0:a00:1::f7f7:f7f7]/'],
    ['ISATAP', 'http://[2600::5efe:10.0.0.1]/'],
    ['another port', 'http://8.8.8.8:8080/'],
    ['another port of a name', 'http://pictures.example:22/'],
    ['a user', 'http://user@8.8.8.8/'],
    ['a user and a password', 'https://user:secret@pictures.example/'],
    ['a name hidden as a user', 'http://pictures.example@127.0.0.1/'],
    ['file', 'file:///etc/passwd'],
    ['gopher', 'gopher://8.8.8.8/'],
    ['data', 'data:image/png;base64,AAAA'],
    ['ftp', 'ftp://8.8.8.8/'],
    ['blob', 'blob:http://8.8.8.8/1'],
    ['an endless one', `http://pictures.example/${'a'.repeat(5000)}`],
  ])('is refused: %s', (_, url) => {
    expect(refusal(url)).toEqual(expect.any(String));
  });

  it.each([
    'http://8.8.8.8/a.jpg',
    'https://8.8.8.8/',
    'http://pictures.example:80/a?b',
    'http://pictures.example:443/',
    'https://[2606:4700::1111]/',
    'http://[::ffff:8.8.8.8]/',
    'http://[64:ff9b::8.8.8.8]/',
    'http://[2002:808:808::]/',
    // Names are judged when they are dialled.
    'http://localhost/',
  ])('is not refused before the dial: %s', (url) => {
    expect(refusal(url)).toBeNull();
  });

  it('does not lead a redirect from https to http', () => {
    const to = new URL('http://pictures.example/b');
    expect(policy.refuseUrl(to, new URL('https://pictures.example/a'))).toContain('https to http');
    expect(policy.refuseUrl(to, new URL('http://pictures.example/a'))).toBeNull();
  });

  it('never shows its query in the reason', () => {
    expect(refusal('http://127.0.0.1/?token=secret')).not.toContain('secret');
  });
});

describe('a name', () => {
  const answering = (...answers: string[][]) => {
    let call = 0;
    return addressPolicy({
      own: () => [],
      resolve: (_, callback) => {
        const list = answers[Math.min(call, answers.length - 1)] ?? [];
        call += 1;
        callback(
          null,
          list.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
        );
      },
    });
  };
  const dial = (by: AddressPolicy, all = true) =>
    new Promise((resolve, reject) => {
      by.lookup('pictures.example', { all }, (error, address, family) => {
        if (error) reject(error);
        else resolve(all ? address : { address, family });
      });
    });

  it('may be dialled when all its answers are public', async () => {
    await expect(dial(answering(['8.8.8.8', '2606:4700::1']))).resolves.toEqual([
      { address: '8.8.8.8', family: 4 },
      { address: '2606:4700::1', family: 6 },
    ]);
    await expect(dial(answering(['8.8.8.8']), false)).resolves.toEqual({ address: '8.8.8.8', family: 4 });
  });

  it.each([[['127.0.0.1']], [['8.8.8.8', '10.0.0.1']], [['::ffff:169.254.169.254']], [[]], [['nonsense']]])(
    'is refused for the answers %j',
    async (answers) => {
      await expect(dial(answering(answers))).rejects.toBeInstanceOf(AddressRefused);
      await expect(dial(answering(answers), false)).rejects.toBeInstanceOf(AddressRefused);
    },
  );

  it('is refused on the second dial when it answers public first and private then', async () => {
    const rebinding = answering(['8.8.8.8'], ['127.0.0.1']);
    await expect(dial(rebinding)).resolves.toHaveLength(1);
    await expect(dial(rebinding)).rejects.toBeInstanceOf(AddressRefused);
  });

  it('that does not resolve fails with the resolver’s own error', async () => {
    const gone = Object.assign(new Error('gone'), { code: 'ENOTFOUND' });
    const nowhere = addressPolicy({ resolve: (_, callback) => callback(gone, []) });
    await expect(dial(nowhere)).rejects.toBe(gone);
  });

  it('resolves by the system: localhost is refused', async () => {
    const real = addressPolicy();
    await expect(
      new Promise((resolve, reject) =>
        real.lookup('localhost', { all: true }, (error) => (error ? reject(error) : resolve(0))),
      ),
    ).rejects.toBeInstanceOf(AddressRefused);
  });
});

describe('the allow-list', () => {
  it('lifts the address and the port rule for an origin, and only for it', () => {
    const allowing = addressPolicy({ allow: ['127.0.0.1:9000', 'Store.Internal:9000', '[fd00::1]:81'] });
    expect(refusal('http://127.0.0.1:9000/a', allowing)).toBeNull();
    expect(refusal('http://2130706433:9000/a', allowing)).toBeNull();
    expect(refusal('http://store.internal:9000/a', allowing)).toBeNull();
    expect(refusal('http://[fd00::1]:81/a', allowing)).toBeNull();
    expect(allowing.allowsOrigin('store.internal', 9000)).toBe(true);
    expect(refusal('http://127.0.0.1:9001/a', allowing)).not.toBeNull();
    expect(refusal('http://127.0.0.1/a', allowing)).not.toBeNull();
    expect(refusal('http://127.0.0.2:9000/a', allowing)).not.toBeNull();
    expect(refusal('http://user@127.0.0.1:9000/a', allowing)).not.toBeNull();
  });

  it('lifts the address rule, not the port rule, for a network', () => {
    const allowing = addressPolicy({ allow: ['10.0.0.0/8', 'fd00::/8'] });
    expect(refusal('http://10.1.2.3/a', allowing)).toBeNull();
    expect(refusal('http://[::ffff:10.1.2.3]/a', allowing)).toBeNull();
    expect(refusal('http://[fd00::5]/a', allowing)).toBeNull();
    expect(refusal('http://10.1.2.3:9000/a', allowing)).not.toBeNull();
    expect(refusal('http://192.168.0.1/a', allowing)).not.toBeNull();
  });

  it.each(['10.0.0.1', 'store.internal', 'http://store:80', '10.0.0.0/33', 'a:0', 'a:70000', 'user@a:80', ''])(
    'refuses the entry "%s" by name',
    (entry) => {
      expect(() => addressPolicy({ allow: [entry] })).toThrow(expect.objectContaining({ code: 'bad_config' }));
    },
  );
});
