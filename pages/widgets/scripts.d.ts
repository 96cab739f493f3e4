// What delivery.py puts before the script of every component, and what the page has loaded: for the checker alone.

interface Packed {
  parts: { name: string; content: Uint8Array }[];
  [word: string]: any;
}

declare function opened(packet: Uint8Array, lost: () => void): Promise<Packed | null>;
declare function csvCell(value: unknown): string;
declare function saveFile(name: string, parts: BlobPart[], type: string): void;

declare function follow(key: string, listener: (value: number) => void): () => void;
declare function between(xs: ArrayLike<number>, ys: ArrayLike<number>, x: number): number;
declare function operate(
  operation: { name: string; scale: number; settings: any },
  source: Uint8ClampedArray,
  target: Uint8ClampedArray,
  width: number,
  height: number,
  value: number,
  draws: Float32Array | null | undefined,
): void;
declare function followTiles(figure: Element, strips: Element[], data: any, parts: any[]): Promise<void>;
declare function unfollowTiles(figure: Element): void;
declare function printable(chart: any, look?: Record<string, unknown>): any;
declare function captionOf(chart: any): Record<"title" | "words" | "whence" | "whole" | "address" | "parts", string>;
declare function captionFile(chart: any, width: string): BlobPart[];
declare const COLUMNS: Record<string, string>;
declare function svgText(Plotly: any, chart: any, width: string): Promise<string>;
declare function pdfFile(Plotly: any, chart: any, width: string): Promise<Blob>;
declare function pngParts(Plotly: any, chart: any): Promise<BlobPart[]>;
declare function followMarks(chart: any): void;
declare function unfollowMarks(node: Element): void;

interface Window {
  Plotly: any;
  uedFollowed: Map<string, any>;
}
