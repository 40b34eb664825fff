/** The playground's script. It builds every node by hand and never sets HTML, so that no tweet can put markup into the page. */
export const PAGE_SCRIPT = `
'use strict';
const el = (id) => document.getElementById(id);
const form = el('form'), text = el('text'), file = el('file'), url = el('url'), preview = el('preview'), submit = el('submit');

const EXAMPLES = {
  'a sunrise': 'Sunrise over Lake Bled, and Maja is already baking. Slovenia, you are too kind.',
  'an exhibition': 'Just saw Anna Lindqvist open the new exhibition at the Rijksmuseum in Amsterdam!',
  'trains': 'Great to talk with the team of Siemens in Munich about trains today',
};
const STATUS = {
  used: 'The picture was read with the text.', none: 'No picture: the text was read alone.',
  unreachable: 'The picture could not be reached.', refused: 'Fetching the picture was refused (see image_allow).',
  not_found: 'The picture does not exist.', too_large: 'The picture is too large.',
  unreadable: 'The picture cannot be read as an image.', timed_out: 'The picture did not come in time.',
  rate_limited: "The picture's host wants fewer requests.", skipped: 'The picture was skipped.',
};

function make(name, content, className) {
  const node = document.createElement(name);
  if (className) node.className = className;
  for (const part of [].concat(content ?? [])) node.append(part);
  return node;
}
const percent = (share) => Math.round(share * 100) + ' %';
const typeClass = (type) => (/^[A-Z]+$/.test(type) ? type : 'MISC');
function gauge(share, name) {
  const meter = make('meter');
  meter.max = 1; meter.value = share; meter.ariaLabel = name;
  return [meter, percent(share)];
}

for (const [name, example] of Object.entries(EXAMPLES)) {
  const button = make('button', name, 'quiet');
  button.type = 'button';
  button.addEventListener('click', () => { text.value = example; text.focus(); });
  el('examples').append(button);
}

function showPreview() {
  if (preview.src) URL.revokeObjectURL(preview.src);
  const chosen = file.files[0];
  preview.hidden = !chosen;
  if (chosen) preview.src = URL.createObjectURL(chosen); else preview.removeAttribute('src');
  el('clear').hidden = !chosen && !url.value;
}
// What this browser cannot show, the worker may still read; it says so when it cannot.
preview.addEventListener('error', () => { preview.hidden = true; });
file.addEventListener('change', () => { if (file.files[0]) url.value = ''; showPreview(); });
url.addEventListener('input', () => { if (url.value) file.value = ''; showPreview(); });
el('clear').addEventListener('click', () => { file.value = ''; url.value = ''; showPreview(); file.focus(); });
text.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); }
});

// The server takes 8 MiB of JSON; the model looks at a small square in any case.
async function shrink(blob) {
  if (blob.size <= 5 * 1024 * 1024) return blob;
  const bitmap = await createImageBitmap(blob);
  const scale = Math.min(1, 1600 / Math.max(bitmap.width, bitmap.height));
  const canvas = make('canvas');
  canvas.width = Math.max(1, Math.round(bitmap.width * scale)); canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext('2d').drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.9));
}
function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1));
    reader.onerror = () => reject(new Error('The picture cannot be read from this device.'));
    reader.readAsDataURL(blob);
  });
}
async function tweet() {
  const made = { id: 'playground', text: text.value };
  const chosen = file.files[0];
  if (chosen) {
    const small = await shrink(chosen).catch(() => chosen);
    made.media = [{ type: 'photo', data: await base64(small) }];
  } else if (url.value) made.media = [{ type: 'photo', url: url.value }];
  return made;
}

function showText(source, entities) {
  const marked = el('marked');
  marked.replaceChildren();
  let at = 0;
  for (const entity of entities) {
    const [start, end] = entity.utf16;
    if (start < at) continue;
    marked.append(source.slice(at, start));
    const mark = make('mark', [source.slice(start, end), make('small', entity.type + ' ' + percent(entity.confidence))]);
    mark.classList.add(typeClass(entity.type));
    marked.append(mark);
    at = end;
  }
  marked.append(source.slice(at));
}
function showRows(entities) {
  const rows = entities.map((entity) => make('tr', [
    make('td', make('span', entity.type, 'badge ' + typeClass(entity.type))),
    make('td', entity.text, 'entity'),
    make('td', gauge(entity.confidence, 'Confidence'), 'number'),
    make('td', entity.start + '–' + entity.end, 'number'),
  ]));
  el('entities').tBodies[0].replaceChildren(...rows);
  el('entities').hidden = rows.length === 0;
}
function showFacts(record) {
  const { image, model } = record;
  const facts = [];
  const fact = (name, content) => facts.push(make('dt', name), make('dd', content));
  fact('Picture', [make('code', image.status), ' ', STATUS[image.status] ?? '']);
  if (typeof image.relevance === 'number') fact('Relevance', gauge(image.relevance, 'Relevance of the picture'));
  if (image.cache) fact('Cache', image.cache === 'hit' ? 'The picture was known from before.' : 'The picture was new.');
  if (model) fact('Model', [model.bundle, model.version, 'on', model.provider].filter(Boolean).join(' '));
  el('facts').replaceChildren(...facts);
}
function show(source, record, ms) {
  const entities = [...record.entities].sort((a, b) => a.utf16[0] - b.utf16[0]);
  const count = entities.length === 1 ? '1 entity' : (entities.length || 'No') + ' entities';
  showText(source, entities);
  showRows(entities);
  showFacts(record);
  el('summary').textContent = count + ' in ' + Math.round(ms) + ' ms';
  el('raw').textContent = JSON.stringify(record, null, 2);
  el('result').hidden = false;
  el('result').scrollIntoView({ block: 'nearest' });
  // A region that was hidden until now would not be read out.
  el('said').textContent = el('summary').textContent;
}
function fail(message) {
  el('problem').textContent = message;
  el('problem').hidden = false;
  el('problem').scrollIntoView({ block: 'nearest' });
  el('said').textContent = '';
  el('result').hidden = true;
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  // Not \`disabled\`, which would take the keyboard's focus from the button.
  if (submit.ariaDisabled === 'true') return;
  submit.ariaDisabled = 'true';
  el('problem').hidden = true;
  el('said').textContent = 'Reading …';
  try {
    const sent = await tweet();
    const began = performance.now();
    const response = await fetch('/v1/extract', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(sent),
    });
    const answer = await response.json();
    if (response.ok) show(sent.text, answer, performance.now() - began);
    else fail(answer.error.message + ' (' + answer.error.code + ')');
  } catch (error) {
    fail(error instanceof TypeError || error instanceof SyntaxError ? 'The server does not answer.' : error.message);
  } finally {
    submit.ariaDisabled = null;
  }
});
`;
