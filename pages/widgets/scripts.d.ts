// What delivery.py puts before the script of every component, and what the page has loaded: for the checker alone.

interface Packed {
  parts: { name: string; content: Uint8Array }[];
  [word: string]: any;
}

declare function opened(packet: Uint8Array, lost: () => void): Promise<Packed | null>;
declare function csvCell(value: unknown): string;
declare function saveFile(name: string, parts: BlobPart[], type: string): void;

interface Window {
  Plotly: any;
}
