/** The playground's style. Colours of entity types keep a contrast of at least 4.5 to 1 in both schemes. */
export const PAGE_STYLE = `
:root { --paper: #fbfaf8; --card: #fff; --ink: #1c1b19; --soft: #5d5a55; --line: #d9d5ce; --accent: #1d5c8f; --on-accent: #fff;
  --alert: #8c1d18; --alert-paper: #fdecea;
  --per: #ffe0a8; --loc: #c5ecc9; --org: #cfe0ff; --misc: #ecd5f8; --mark-ink: #1c1b19; }
@media (prefers-color-scheme: dark) { :root { --paper: #161718; --card: #1f2123; --ink: #ecebe8; --soft: #aaa8a3; --line: #3a3d40;
  --accent: #8cc4f2; --on-accent: #10202d; --alert: #ffb4ab; --alert-paper: #3b1a18;
  --per: #6b4a0a; --loc: #1f5a2a; --org: #27468a; --misc: #5d357a; --mark-ink: #fff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.5rem; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.1rem; margin: 0 0 .75rem; outline: none; }
header p { margin: .35rem 0 1.5rem; color: var(--soft); max-width: 40rem; }
form, section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.25rem; margin-bottom: 1.25rem; }
label, legend { font-weight: 600; }
legend { padding: 0; }
.field label { font-weight: 400; color: var(--soft); font-size: .9rem; display: block; }
textarea, input[type=url], input[type=file] { width: 100%; font: inherit; color: inherit; background: var(--paper);
  border: 1px solid var(--line); border-radius: 8px; padding: .6rem .7rem; }
textarea { resize: vertical; margin-top: .35rem; display: block; }
input { height: 2.9rem; }
input[type=file] { padding: .35rem .4rem; line-height: 2rem; }
::file-selector-button { font: inherit; font-size: .9rem; line-height: 1; height: 2rem; color: var(--ink); background: var(--line); border: 0; border-radius: 6px;
  padding: 0 .8rem; margin-right: .6rem; cursor: pointer; }
::placeholder { color: var(--soft); opacity: 1; }
fieldset { border: 0; padding: 0; margin: 1rem 0 0; }
.picture { display: flex; flex-wrap: wrap; gap: .75rem; align-items: end; margin-top: .35rem; }
.field { flex: 1 1 14rem; min-width: 0; }
.chosen { margin: 0; display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1rem; padding-top: .3rem; }
#preview { height: 5.5rem; max-width: 100%; object-fit: contain; border-radius: 8px; border: 1px solid var(--line); margin-top: .45rem; }
button { font: inherit; font-weight: 600; color: var(--on-accent); background: var(--accent); border: 0; border-radius: 8px;
  padding: .55rem 1.1rem; cursor: pointer; }
button[aria-disabled=true] { opacity: .6; cursor: progress; }
button.quiet { background: none; color: var(--accent); padding: .15rem 0; font-weight: 400; text-decoration: underline;
  text-underline-offset: .2em; margin-right: .9rem; }
button:not(.quiet, [aria-disabled=true]):hover { filter: brightness(1.12); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.actions { margin: 1.1rem 0 0; display: flex; flex-wrap: wrap; align-items: center; gap: .4rem .8rem; }
.hint { color: var(--soft); font-size: .9rem; font-weight: 400; }
p.hint { margin: .4rem 0 0; }
.alert { background: var(--alert-paper); color: var(--alert); border-radius: 8px; padding: .7rem .9rem; margin: 0 0 1.25rem; overflow-wrap: anywhere; }
.marked { font-size: 1.2rem; line-height: 2; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 0 .25rem; }
mark { background: var(--misc); color: var(--mark-ink); border-radius: 6px; padding: .12em .35em; margin: 0 1px;
  box-decoration-break: clone; -webkit-box-decoration-break: clone; }
mark small { font-size: .68em; font-weight: 600; margin-left: .45em; white-space: nowrap; }
.PER { background: var(--per); } .LOC { background: var(--loc); } .ORG { background: var(--org); }
.badge { color: var(--mark-ink); border-radius: 6px; padding: .1em .5em; font-size: .85rem; font-weight: 600; }
.badge:not(.PER, .LOC, .ORG) { background: var(--misc); }
.table { overflow-x: auto; margin-top: .9rem; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .85rem; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
td.entity { white-space: normal; overflow-wrap: anywhere; min-width: 8rem; width: 100%; }
.number { font-variant-numeric: tabular-nums; }
meter { width: 5rem; height: .5rem; vertical-align: middle; margin-right: .5rem; appearance: none; border: 0; border-radius: 4px; background: var(--line); }
meter::-webkit-meter-inner-element { display: block; }
meter::-webkit-meter-bar { display: block; position: static; height: .5rem; border: 0; border-radius: 4px; background: none; }
meter::-webkit-meter-optimum-value { border-radius: 4px; background: var(--accent); }
meter::-moz-meter-bar { background: var(--accent); border-radius: 4px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin: 1rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
dd code { font-size: .9em; background: var(--paper); border: 1px solid var(--line); border-radius: 6px; padding: .05em .4em; margin-right: .3em; }
details summary { cursor: pointer; color: var(--accent); }
pre { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: .8rem; overflow: auto; max-height: 24rem; font-size: .85rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
[hidden] { display: none !important; }
@media (hover: none) { .keys { display: none; } }
@media (max-width: 30rem) { main { padding: 1.25rem .75rem 3rem; } form, section { padding: 1rem; } td meter, th:nth-child(4), td:nth-child(4) { display: none; }
  th, td { padding-right: .6rem; } .field { flex-basis: 100%; } }
`;
