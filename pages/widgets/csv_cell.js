// @ts-check
// One cell of a CSV file, the same rule as csv_export.py: what a spreadsheet would take for a formula begins with an apostrophe.
// deno-lint-ignore no-unused-vars -- components call it: this script is put before theirs
function csvCell(value) {
  if (value === null || value === undefined) return "";
  const number = /^[+\-\u2212]?(\d+\.?\d*|\.\d+)([eE][+\-]?\d+)?$/;
  // As csv_export.py rounds: 52.480000000000004 is 52.48.
  let text = String(typeof value === "number" ? Number(value.toPrecision(12)) : value);
  if (typeof value !== "number" && !text.split(";").every((part) => number.test(part.trim()))) {
    text = text.replace(/(^|[;\t\r\n])(\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])/g, "$1$2'").replace(/^(?=[\t\r])/, "'");
  }
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
