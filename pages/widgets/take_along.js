// @ts-check
/// <reference types="./scripts.d.ts" />
// A chart as a file: SVG and PDF in the width of a paper's column, PNG, table, page; each says where it comes from.

// deno-lint-ignore no-unused-vars -- live_chart.js uses it: this script is put before it
const COLUMNS = { 84: "one column", 175: "two columns" };
const PX_PER_MM = 96 / 25.4;
// Letters of LaTeX documents; what the page itself loads for formulas has the same widths.
const LETTERS = '"New Computer Modern", KaTeX_Main, "Latin Modern Roman", "CMU Serif", serif';
const LETTER_PX = { 84: 10.5, 175: 12 };
const THINNER = { 84: 0.65, 175: 0.85 };

// Indices and bold are marks for the page alone.
function unmarked(text) {
  return text.replace(/\*\*/g, "").replace(/_\{([^}]*)\}/g, "_$1").replace(/\^\{([^}]*)\}/g, "^$1").trim();
}

function captionOf({ data }) {
  const address = location.href;
  const parts = data.parts.map((part) => part.name).join(" ");
  const whence = `${data.about ? `${data.about} ` : ""}${data.program}, ${address}; figure ${parts}.`;
  const words = [data.question, data.formula, data.caption || data.alt].map(unmarked).filter(Boolean).join(" ");
  return { title: unmarked(data.question || data.alt), words, whence, whole: `${words} ${whence}`, address, parts };
}

// Every size that a figure names, so that small pictures have small letters and thin lines.
function slimmer(part, letters, thinner) {
  for (const [name, value] of Object.entries(part ?? {})) {
    if (!value || typeof value !== "object" || ArrayBuffer.isView(value)) continue;
    if (/font$/i.test(name) && typeof value.size === "number") value.size = Math.min(value.size, letters);
    if (name === "line" && typeof value.width === "number") value.width *= thinner;
    if (name === "marker" && typeof value.size === "number") value.size *= thinner;
    slimmer(value, letters, thinner);
  }
}

// A figure with much in it is drawn as on the page and made smaller as a whole: with fewer pixels its words would lie over
// each other.
function crowded({ node }, box) {
  const { _fullLayout: layout, _fullData: traces } = node;
  const panels = Object.keys(layout).filter((name) => /^xaxis\d*$/.test(name)).length;
  const written = traces.reduce((sum, trace) => sum + (/text/.test(trace.mode ?? "") ? trace.x?.length ?? 0 : 0), 0);
  return layout.meta?.least_width || box.height > 430 || panels > 2 || written + (layout.annotations?.length ?? 0) > 12;
}

function drawingFor(chart, width) {
  const box = chart.node.getBoundingClientRect();
  const px = Math.round(width * PX_PER_MM);
  if (crowded(chart, box)) {
    const figure = printable(chart, { font: LETTERS });
    return { figure, width: Math.max(px, Math.round(box.width)), height: Math.round(box.height) };
  }
  // Panels beside each other get smaller letters: their titles would lie over each other.
  const panels = Object.keys(chart.node._fullLayout).filter((name) => /^xaxis\d*$/.test(name)).length;
  const zoom = panels > 1 ? 1.3 : 1;
  const size = LETTER_PX[width] * (zoom > 1 ? 0.95 : 1);
  const figure = printable(chart, { font: LETTERS, size });
  slimmer(figure.data, size, THINNER[width]);
  slimmer({ ...figure.layout, template: null }, size, THINNER[width]);
  const height = Math.round(px * zoom * Math.min(1.5, Math.max(0.62, box.height / box.width)));
  return { figure, width: Math.round(px * zoom), height };
}

async function svgText(Plotly, chart, width) {
  const { figure, ...size } = drawingFor(chart, width);
  await document.fonts?.load?.(`12px KaTeX_Main`).catch(() => {});
  const address = await Plotly.toImage(figure, { format: "svg", ...size });
  const source = decodeURIComponent(address.slice(address.indexOf(",") + 1));
  const drawing = new DOMParser().parseFromString(source, "image/svg+xml");
  const root = drawing.documentElement;
  if (root.nodeName !== "svg") throw new Error("The chart could not be drawn as SVG.");
  root.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  root.setAttribute("width", `${width}mm`);
  root.setAttribute("height", `${((width * size.height) / size.width).toFixed(2)}mm`);
  const said = captionOf(chart);
  const told = (name, text, space) => {
    const element = drawing.createElementNS(space ?? root.namespaceURI, name);
    element.textContent = text;
    return element;
  };
  const metadata = told("metadata", "");
  const rdf = told("rdf:RDF", "", "http://www.w3.org/1999/02/22-rdf-syntax-ns#");
  const about = told("rdf:Description", "", "http://www.w3.org/1999/02/22-rdf-syntax-ns#");
  const core = "http://purl.org/dc/elements/1.1/";
  about.append(
    told("dc:title", said.title, core), told("dc:description", said.words, core), told("dc:source", said.whence, core),
    told("dc:identifier", said.parts, core), told("dc:creator", chart.data.program, core),
  );
  rdf.append(about);
  metadata.append(rdf);
  root.prepend(told("title", said.title), told("desc", said.whole), metadata);
  return new XMLSerializer().serializeToString(drawing);
}

// deno-lint-ignore no-unused-vars -- live_chart.js uses it: this script is put before it
async function pdfFile(Plotly, chart, width) {
  const { title, whole } = captionOf(chart);
  const answer = await fetch(chart.data.paper, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ svg: await svgText(Plotly, chart, width), width: Number(width), title, caption: whole }),
  });
  if (!answer.ok) throw new Error((await answer.text()) || "The server made no PDF.");
  return answer.blob();
}

// ---- PNG: the caption stands in a text chunk -------------------------------------------------

function checksum(bytes) {
  let sum = -1;
  for (const byte of bytes) {
    sum ^= byte;
    for (let k = 0; k < 8; k++) sum = (sum >>> 1) ^ (0xedb88320 & -(sum & 1));
  }
  return (sum ^ -1) >>> 0;
}

function withText(png, texts) {
  const coder = new TextEncoder();
  const chunks = Object.entries(texts).map(([name, text]) => {
    // iTXt: keyword, no compression, no language, UTF-8.
    const body = new Uint8Array([...coder.encode(`iTXt${name}`), 0, 0, 0, 0, 0, ...coder.encode(text)]);
    const chunk = new Uint8Array(body.length + 8);
    const view = new DataView(chunk.buffer);
    view.setUint32(0, body.length - 4);
    chunk.set(body, 4);
    view.setUint32(body.length + 4, checksum(body));
    return chunk;
  });
  // Behind the signature and the header, which always have 33 bytes.
  return [png.slice(0, 33), ...chunks, png.slice(33)];
}

// deno-lint-ignore no-unused-vars -- live_chart.js uses it: this script is put before it
async function pngParts(Plotly, chart) {
  const box = chart.node.getBoundingClientRect();
  const size = { width: Math.round(box.width), height: Math.round(box.height), scale: 3 };
  const address = await Plotly.toImage(printable(chart), { format: "png", ...size });
  const png = new Uint8Array(await (await fetch(address)).arrayBuffer());
  const said = captionOf(chart);
  return withText(png, { Title: said.title, Description: said.words, Source: said.whence, Software: chart.data.program });
}

// ---- LaTeX -----------------------------------------------------------------------------------

const LATEX = {
  "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "−": "$-$", "×": "$\\times$",
  "±": "$\\pm$", "·": "$\\cdot$", "→": "$\\to$", "≤": "$\\le$", "≥": "$\\ge$", "≈": "$\\approx$", "‖": "$\\|$",
  "⟨": "$\\langle$", "⟩": "$\\rangle$", "√": "$\\surd$", "●": "$\\bullet$", "✕": "$\\times$", "◆": "$\\diamond$",
  "α": "$\\alpha$", "δ": "$\\delta$", "ε": "$\\varepsilon$", "Θ": "$\\Theta$", "σ": "$\\sigma$", "λ": "$\\lambda$",
  "κ": "$\\kappa$", "β": "$\\beta$", "γ": "$\\gamma$", "μ": "$\\mu$", "π": "$\\pi$", "ρ": "$\\rho$", "τ": "$\\tau$",
};

// Marked text of a page as LaTeX: bold, indices, and letters that it writes otherwise.
function latex(marked) {
  return marked.split(/(\*\*.+?\*\*|[_^]\{[^}]*\})/).map((part) => {
    if (part.startsWith("**") && part.length > 4) return `\\textbf{${latex(part.slice(2, -2))}}`;
    if (/^[_^]\{/.test(part)) return `\\text${part[0] === "_" ? "sub" : "super"}script{${letters(part.slice(2, -1))}}`;
    return letters(part);
  }).join("");
}

function letters(text) {
  return [...text].map((letter) => LATEX[letter] ?? (/[#$%&_{}]/.test(letter) ? `\\${letter}` : letter)).join("");
}

// deno-lint-ignore no-unused-vars -- live_chart.js uses it: this script is put before it
function captionFile(chart, width) {
  const { words, whence } = captionOf(chart);
  const name = chart.data.filename;
  const { question, formula, caption, alt } = chart.data;
  return [
    `${words}\n\n${whence}\n\nIn LaTeX, with \\usepackage{graphicx}:\n\n`,
    `\\begin{figure}\n  \\centering\n  \\includegraphics[width=${width}mm]{${name}.pdf}\n`,
    `  \\caption{${[question, formula, caption || alt].filter(Boolean).map(latex).join(" ")}}\n  \\label{fig:${name.replace(/[^A-Za-z0-9]+/g, "-")}}\n\\end{figure}\n`,
    `% ${whence.replace(/\s+/g, " ")}\n`,
  ];
}
