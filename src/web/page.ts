/** The playground: one form, and under it what the pipeline made of it. Everything that it needs is in it. */
export function page(style: string, script: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>mner-stream playground</title>
<style>${style}</style>
</head>
<body>
<main>
<header>
<h1>mner-stream</h1>
<p>Finds the people, places, organisations and works that a tweet mentions, with the help of its picture. A tweet from here takes the
same way as one from the stream.</p>
</header>
<noscript><p class="alert">This page needs JavaScript. Without it, post a tweet as JSON to <code>/v1/extract</code>.</p></noscript>
<form id="form" autocomplete="off">
<label for="text">Tweet</label>
<textarea id="text" rows="4" required dir="auto" spellcheck="false" aria-describedby="text-hint"></textarea>
<p class="hint" id="text-hint"><span id="examples">Try one: </span></p>
<fieldset>
<legend>Picture <span class="hint">(optional)</span></legend>
<div class="picture">
<div class="field"><label for="file">From this device</label><input id="file" type="file" accept="image/jpeg,image/png,image/webp,image/gif"></div>
<div class="field"><label for="url">Or its address</label><input id="url" type="url" placeholder="https://…" inputmode="url"></div>
</div>
<p class="chosen"><img id="preview" alt="The chosen picture" hidden>
<button type="button" id="clear" class="quiet" hidden>Remove the picture</button></p>
</fieldset>
<p class="actions"><button type="submit" id="submit">Find entities</button> <span class="hint keys">or Ctrl + Enter</span></p>
</form>
<p id="said" class="unseen" role="status"></p>
<p id="problem" class="alert" role="alert" hidden></p>
<section id="result" aria-labelledby="result-title" hidden>
<h2 id="result-title">Result</h2>
<p id="marked" class="marked" dir="auto"></p>
<p id="summary" class="hint"></p>
<div class="table"><table id="entities">
<caption class="unseen">Entities</caption>
<thead><tr><th scope="col">Type</th><th scope="col">Entity</th><th scope="col">Confidence</th><th scope="col">Characters</th></tr></thead>
<tbody></tbody>
</table></div>
<dl id="facts"></dl>
<details><summary>Output record (JSON)</summary><pre id="raw" tabindex="0" aria-label="Output record"></pre></details>
</section>
</main>
<script>${script}</script>
</body>
</html>
`;
}
