/** What is sent along: read, checked as the server will, and kept for as long as the page lives. */
import type { Attachment } from "./api";

const TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf"];
const MOST_BYTES = 5 * 1024 * 1024;
export const MOST_FILES = 20;
export const ACCEPTED = TYPES.join(",");

export interface Chosen extends Attachment {
  id: string;
  fileName: string;
  size: number;
  preview: string | null;
}

/** Pictures that were sent from here, by hash: the server does not show them again. */
const sent = new Map<string, string>();
export const previewOf = (sha256: string): string | undefined => sent.get(sha256);

/** Read a file; throws a sentence for the person. */
export async function chosen(file: File): Promise<Chosen> {
  const fileName = file.name || `pasted.${file.type.split("/")[1] ?? "bin"}`;
  if (!TYPES.includes(file.type)) throw new Error(`${fileName}: attach PNG, JPEG, GIF, WebP or PDF.`);
  if (file.size > MOST_BYTES) throw new Error(`${fileName} is larger than 5 MB.`);
  if (file.size === 0) throw new Error(`${fileName} is empty.`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  const preview = file.type.startsWith("image/") ? URL.createObjectURL(new Blob([bytes], { type: file.type })) : null;
  if (preview !== null) sent.set(await hashed(bytes), preview);
  return { id: crypto.randomUUID(), base64Data: base64(bytes), mediaType: file.type, fileName, size: file.size, preview };
}

export function attachment({ base64Data, mediaType, fileName }: Chosen): Attachment {
  return { base64Data, mediaType, fileName };
}

export function sized(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

async function hashed(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function base64(bytes: Uint8Array): string {
  const pieces: string[] = [];
  for (let at = 0; at < bytes.length; at += 0x8000) pieces.push(String.fromCharCode(...bytes.subarray(at, at + 0x8000)));
  return btoa(pieces.join(""));
}
