import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const ROOT = resolve(import.meta.dirname, '../..');

interface Service {
  image: string;
  build?: { context: string; dockerfile: string };
  command?: string;
  environment?: Record<string, string>;
  depends_on?: unknown;
  volumes?: string[];
  ports?: string[];
  deploy?: { replicas: number };
}

const compose: { services: Record<string, Service> } = parse(text('docker-compose.yml'), { merge: true });

describe('docker-compose.yml', () => {
  it('has Kafka 4, Redis, the topics, two workers and Prometheus', () => {
    const { services } = compose;
    expect(Object.keys(services).sort()).toEqual(['kafka', 'prometheus', 'redis', 'topics-init', 'worker']);
    expect(services.kafka?.image).toMatch(/^apache\/kafka:4\./);
    expect(services.worker?.deploy?.replicas).toBe(2);
    for (const { image, build } of Object.values(services)) expect(build ? image : image.split(':')[1]).toBeTruthy();
  });

  it('tells the workers where Kafka and Redis are, and runs `mner run` in them', () => {
    const { worker, 'topics-init': topics } = compose.services;
    const where = { MNER_BROKERS: 'kafka:9092', MNER_REDIS_URL: 'redis://redis:6379', MNER_HTTP_HOST: '0.0.0.0' };
    expect(worker?.environment).toEqual(where);
    expect(worker?.command).toBe('run');
    expect(topics?.environment).toEqual(where);
    expect(topics?.command).toBe('topics --create');
  });

  it('opens ports to this machine alone', () => {
    const ports = Object.values(compose.services).flatMap((service) => service.ports ?? []);
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  });

  it('names files that exist, and a Prometheus that looks for the name of the workers', () => {
    expect(existsSync(join(ROOT, compose.services.worker?.build?.dockerfile ?? ''))).toBe(true);
    const mounted = compose.services.prometheus?.volumes?.[0]?.split(':')[0] ?? '';
    const prometheus: { scrape_configs: { dns_sd_configs: { names: string[]; port: number }[] }[] } = parse(
      text(mounted),
    );
    const [discovery] = prometheus.scrape_configs[0]?.dns_sd_configs ?? [];
    expect(compose.services).toHaveProperty(discovery?.names[0] ?? '');
    expect(discovery?.port).toBe(8080);
  });

  it.skipIf(!works('docker', ['compose', 'version']))(
    'is what `docker compose config` accepts (skipped without its plugin)',
    () => {
      expect(spawnSync('docker', ['compose', 'config', '--quiet'], { cwd: ROOT, encoding: 'utf8' })).toMatchObject({
        status: 0,
        stderr: '',
      });
    },
  );

  it.skipIf(!works('promtool', ['--version']))(
    'mounts what `promtool check config` accepts (skipped without it)',
    () => {
      expect(spawnSync('promtool', ['check', 'config', 'deploy/prometheus.yml'], { cwd: ROOT })).toMatchObject({
        status: 0,
      });
    },
  );
});

describe('deploy/Dockerfile', () => {
  const dockerfile = text('deploy/Dockerfile');

  it('sets up as `npm run demo` does', () => {
    const scripts: Record<string, string> = JSON.parse(text('package.json')).scripts;
    expect(scripts.demo?.split(' && ')[0]).toBe('node deploy/setup.mjs');
    expect(dockerfile).toContain('RUN node deploy/setup.mjs');
  });

  it('runs the worker as a user without rights, and asks whether it is alive', () => {
    expect(dockerfile).toMatch(/^USER [1-9]\d*$/m);
    expect(dockerfile).toMatch(/^HEALTHCHECK[\s\S]*\/livez/m);
    expect(dockerfile).toMatch(/^ENTRYPOINT \["node", "dist\/cli\/main\.js"\]\nCMD \["run"\]$/m);
  });

  it('copies only what the build may see', () => {
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((match) =>
      (match[1] ?? '').split(' '),
    );
    const seen = text('deploy/Dockerfile.dockerignore').split('\n');
    expect(copied.length).toBeGreaterThan(4);
    for (const path of copied) {
      expect(existsSync(join(ROOT, path))).toBe(true);
      expect(seen).toContain(`!${path}`);
    }
  });

  it.skipIf(!works('hadolint', ['--version']))('is what hadolint accepts (skipped without it)', () => {
    const { status, stdout } = spawnSync('hadolint', ['deploy/Dockerfile'], { cwd: ROOT, encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});

function text(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

function works(command: string, args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}
