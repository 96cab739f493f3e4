// @ts-check
// Hands a file to the person at the browser, as a download.

/**
 * @param {string} name of the file, with its ending
 * @param {BlobPart[]} parts its content, in order
 * @param {string} type the media type
 */
// deno-lint-ignore no-unused-vars -- components call it: this script is put before theirs
function saveFile(name, parts, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
