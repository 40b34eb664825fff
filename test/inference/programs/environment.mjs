// An inference process that answers with the names in its environment.
process.on('message', (message) => {
  if (message.type === 'start') process.send({ type: 'ready', provider: 'cpu', refused: [] });
  if (message.type === 'stop') process.exit(0);
  if (message.type !== 'run') return;
  const data = new TextEncoder().encode(Object.keys(process.env).join(' '));
  process.send({ type: 'result', id: message.id, outputs: { names: { type: 'uint8', data, dims: [data.length] } } });
});
