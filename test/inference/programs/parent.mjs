// A worker that starts an inference process, tells its id, and then waits to be killed.
import { createProcessHost } from '#mner/inference/host-process.js';

const host = createProcessHost({
  models: [{ name: 'vision-tiny', path: 'test/fixtures/bundles/vision-tiny/model.onnx' }],
});
await host.start();
process.stdout.write(`${host.pid}\n`);
