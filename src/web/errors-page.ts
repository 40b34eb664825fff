import { ERRORS, type ErrorClass, type ErrorCode } from '../errors.js';
import { HTTP_ERRORS, statusOf } from './reply.js';

const CLASSES: Readonly<Record<ErrorClass, string>> = {
  poison: 'The record itself is at fault. It goes to the dead-letter topic, and its lane goes on.',
  retryable:
    'The world is at fault and may recover. The lane waits and tries again; a command that meets it at its start ends with exit code 4.',
  degraded: 'The worker goes on without the part that failed, and says so.',
  fatal: 'Nothing sensible can follow. The process ends with the exit code below.',
};

/** The page docs/errors.md. */
export function errorsMarkdown(): string {
  const codes = Object.keys(ERRORS) as ErrorCode[];
  const sections = (Object.keys(CLASSES) as ErrorClass[]).map((group) => {
    const fatal = group === 'fatal';
    const head = fatal
      ? '| code | cause | what to do | exit code |\n|---|---|---|---|'
      : '| code | cause | what to do | HTTP |\n|---|---|---|---|';
    const rows = codes
      .filter((code) => ERRORS[code].class === group)
      .map((code) => {
        const { cause, remedy, exit } = ERRORS[code];
        return `| \`${code}\` | ${cause} | ${remedy} | ${fatal ? exit : statusOf(code)} |`;
      });
    return `## Class \`${group}\`\n\n${CLASSES[group]}\n\n${head}\n${rows.join('\n')}\n`;
  });
  const http = Object.entries(HTTP_ERRORS).map(
    ([code, { status, message }]) => `| \`${code}\` | ${message} | ${status} |`,
  );
  return `# Errors

This page is made from \`src/errors.ts\` and \`src/web/reply.ts\`. A code stands in the header \`mner-error-code\` of a dead letter, in the label
\`code\` of \`mner_dead_letters_total\`, in log lines, and in \`{"error":{"code","message"}}\` of \`mner extract\` and \`POST /v1/extract\`. The column
HTTP is the status that \`POST /v1/extract\` answers with; for fatal errors it is ${statusOf('inference_unavailable')}, for \`internal\` ${statusOf('internal')}.

${sections.join('\n')}
## The HTTP server's own

| code | meaning | HTTP |
|---|---|---|
${http.join('\n')}
`;
}
