import { z } from 'zod';
import { type About, about } from './about.js';

/** What several fields of the schema have in common. */

export const MiB = 1024 * 1024;
export const HOUR_MS = 3_600_000;

const topic = z.string().regex(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/);
export const word = z.string().regex(/^[A-Za-z0-9._-]{1,200}$/);
export const hostPort = z.string().regex(/^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/);
export const filledText = z.string().min(1);

const TOPIC = 'a topic name: letters, digits, dot, underscore and hyphen, at most 249 of them';
export const WORD = 'a name of letters, digits, dot, underscore and hyphen';

export function topicField(name: string, description: string) {
  return topic.default(name).register(about, { section: 'Topics', description, value: 'topic', allowed: TOPIC });
}

export function optionalTopic(description: string) {
  const said: About = { section: 'Topics', description, value: 'topic', allowed: TOPIC, off: 'off' };
  return topic.nullable().default(null).register(about, said);
}

export function optionalFile(description: string, section: About['section'] = 'Kafka') {
  const said: About = { section, description, value: 'file', allowed: 'the path of a file' };
  return filledText.nullable().default(null).register(about, said);
}

/** Without a user: its password would be shown wherever the configuration is. */
export function isHttpUrl(text: string): boolean {
  if (!/^https?:\/\/[^/]/.test(text) || !URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username === '' && password === '';
}

export function isProxyUrl(text: string): boolean {
  return /^https?:\/\/[^/]+\/?$/.test(text) && URL.canParse(text);
}

/** One host, or several that are separated by commas, which no URL has. */
export function isRedisUrl(text: string): boolean {
  const first = text.replace(/(,[A-Za-z0-9._:[\]-]+)+(?=$|[/?#])/, '');
  return /^rediss?:\/\//.test(text) && URL.canParse(first);
}
