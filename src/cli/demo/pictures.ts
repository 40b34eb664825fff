import sharp from 'sharp';

const SIZE = { width: 640, height: 420 };

/** Each picture as the shapes of an SVG, 640 × 420. */
const DRAWINGS: Readonly<Record<string, string>> = {
  court: `${sky('#2e7d32')}<rect x="90" y="60" width="460" height="300" fill="#3f7fbf" stroke="#fff" stroke-width="6"/>
    <line x1="320" y1="60" x2="320" y2="360" stroke="#fff" stroke-width="5"/><line x1="90" y1="210" x2="550" y2="210" stroke="#fff" stroke-width="4"/>
    <circle cx="250" cy="150" r="9" fill="#dcff3a"/>`,
  sunset: `${gradient('#3b1d5a', '#ff8a3d')}<circle cx="320" cy="250" r="70" fill="#ffd25e"/>
    <rect y="265" width="640" height="155" fill="#6d3b47"/><path d="M250 300h140M230 330h180M260 360h120" stroke="#ffb36b" stroke-width="6"/>`,
  skyline: `${gradient('#9ec9ef', '#e8f3fc')}${[40, 120, 190, 280, 360, 450, 530]
    .map((x, i) => `<rect x="${x}" y="${120 + ((i * 61) % 140)}" width="66" height="300" fill="#4a5a70"/>`)
    .join('')}`,
  record: `${sky('#d9c8a9')}<circle cx="320" cy="210" r="180" fill="#161616"/><circle cx="320" cy="210" r="120" fill="none" stroke="#333" stroke-width="2"/>
    <circle cx="320" cy="210" r="62" fill="#c0392b"/><circle cx="320" cy="210" r="8" fill="#eee"/>`,
  pitch: `${sky('#2f8f3a')}<rect x="30" y="40" width="580" height="340" fill="none" stroke="#fff" stroke-width="5"/><line x1="320" y1="40" x2="320" y2="380" stroke="#fff" stroke-width="5"/>
    <circle cx="320" cy="210" r="60" fill="none" stroke="#fff" stroke-width="5"/><circle cx="380" cy="180" r="12" fill="#fff"/>`,
  cat: `${sky('#f3e4d0')}<ellipse cx="320" cy="270" rx="150" ry="100" fill="#8a6b4f"/><circle cx="320" cy="160" r="80" fill="#8a6b4f"/>
    <path d="M250 120l15-70 55 40zM390 120l-15-70-55 40z" fill="#8a6b4f"/><circle cx="292" cy="155" r="10"/><circle cx="348" cy="155" r="10"/><path d="M310 185h20l-10 12z" fill="#e58"/>`,
  stage: `${sky('#1b1b2b')}<path d="M100 0l120 420H0zM540 0l100 420H420z" fill="#4c4ca8" opacity=".6"/><rect y="330" width="640" height="90" fill="#111"/>
    <circle cx="320" cy="210" r="30" fill="#caa182"/><rect x="285" y="240" width="70" height="110" fill="#23304d"/>`,
  mountain: `${gradient('#7fb2e5', '#e9f4ff')}<path d="M0 420L180 120l110 180 120-220 230 340z" fill="#6f7f92"/><path d="M180 120l40 66-38-14-42 22zM410 80l54 80-50-20-48 26z" fill="#fff"/>`,
  street: `${sky('#b9b2a6')}<rect y="300" width="640" height="120" fill="#5b5b5b"/>${[60, 170, 280, 390, 500]
    .map(
      (x) =>
        `<rect x="${x}" y="70" width="84" height="230" fill="#e6ddcd"/><circle cx="${x + 40}" cy="318" r="14" fill="#2c3e50"/>`,
    )
    .join('')}`,
  hoop: `${sky('#c96f2d')}<rect x="220" y="60" width="200" height="130" fill="#fff" stroke="#333" stroke-width="5"/><ellipse cx="320" cy="200" rx="60" ry="14" fill="none" stroke="#d33" stroke-width="7"/>
    <circle cx="320" cy="290" r="42" fill="#e67e22" stroke="#3a1d05" stroke-width="4"/>`,
};

/**
 * Draws one of the demo's pictures as a JPEG.
 *
 * Call it before the pipeline decodes anything: the decoder blocks SVG for the whole process.
 */
export async function drawPicture(name: string): Promise<Buffer> {
  const shapes = DRAWINGS[name] ?? sky('#888');
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${SIZE.width}" height="${SIZE.height}">${shapes}</svg>`;
  return sharp(Buffer.from(svg)).jpeg({ quality: 85 }).toBuffer();
}

function sky(colour: string): string {
  return `<rect width="640" height="420" fill="${colour}"/>`;
}

function gradient(top: string, bottom: string): string {
  return `<defs><linearGradient id="g" x2="0" y2="1"><stop stop-color="${top}"/><stop offset="1" stop-color="${bottom}"/></linearGradient></defs><rect width="640" height="420" fill="url(#g)"/>`;
}
