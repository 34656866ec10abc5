/**
 * What the server is asked over HTTP, typed from its OpenAPI document.
 *
 * Law: a token is kept in this module's memory and nowhere else. What may have been lost on its way is sent again with
 * the same Idempotency-Key, so nothing is done twice.
 */
import { signal } from "@preact/signals";
import createClient from "openapi-fetch";
import type { components, paths } from "./wire/openapi";
import type { Engine, Message, Session, Task, Totals } from "./wire/types";

export const API = "/api/v1/agent";
const AGAIN_MS = [400, 1500];

/** Whether the server wants to know who asks. */
export const isTokenWanted = signal(false);
let token: string | null = null;

export function giveToken(text: string): void {
  token = text.trim().replace(/^Bearer\s+/i, "") || null;
  isTokenWanted.value = false;
}

/** The server's refusal, in its own words; `status` 0: it could not be reached. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
  ) {
    super(detail);
  }
}

async function send(request: Request): Promise<Response> {
  if (token !== null) request.headers.set("Authorization", `Bearer ${token}`);
  if (request.method === "POST" || request.method === "DELETE") {
    request.headers.set("Idempotency-Key", crypto.randomUUID());
  }
  for (const wait of [...AGAIN_MS, null]) {
    try {
      return await fetch(request.clone());
    } catch {
      if (wait === null) break;
      await new Promise((go) => setTimeout(go, wait));
    }
  }
  throw new Refused(0, "unreachable", "The server cannot be reached.");
}

async function answered<T>(asked: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await asked;
  if (data !== undefined) return data;
  throw refusal(response.status, error);
}

function refusal(status: number, body: unknown): Refused {
  const problem = typeof body === "object" && body !== null ? (body as { code?: unknown; detail?: unknown }) : {};
  if (status === 401) isTokenWanted.value = true;
  return new Refused(status, String(problem.code ?? status), String(problem.detail ?? `The server answered ${status}.`));
}

const client = createClient<paths>({ baseUrl: location.origin, fetch: send });
type Schemas = components["schemas"];
export type Attachment = { base64Data: string; mediaType: string; fileName?: string };
export interface Prompt {
  prompt: string;
  sessionId?: string;
  engineType?: string;
  attachments?: Attachment[];
  onBusy?: "interrupt" | "enqueue";
}

export function ask(body: Prompt): Promise<Schemas["AcceptedAnswer"]> {
  return answered(client.POST("/api/v1/agent/tasks", { body }));
}

export function inject(taskId: string, message: string, attachments: Attachment[]): Promise<Schemas["InjectedAnswer"]> {
  const params = { path: { task_id: taskId } };
  return answered(client.POST("/api/v1/agent/tasks/{task_id}/inject", { params, body: { message, attachments } }));
}

export function stop(taskId: string): Promise<Schemas["StoppedAnswer"]> {
  return answered(client.DELETE("/api/v1/agent/tasks/{task_id}", { params: { path: { task_id: taskId } } }));
}

export interface Decision {
  approved: boolean;
  approvalId: string;
  inputSha256: string;
  onReject?: "cancel" | "continue";
  reason?: string;
}

export function decide(taskId: string, body: Decision): Promise<Schemas["DecidedAnswer"]> {
  const params = { path: { task_id: taskId } };
  return answered(client.POST("/api/v1/agent/tasks/{task_id}/approve", { params, body }));
}

export function taskOf(taskId: string): Promise<Task> {
  return answered(client.GET("/api/v1/agent/tasks/{task_id}", { params: { path: { task_id: taskId } } }));
}

export function sessions(cursor: string | null): Promise<{ items: Session[]; nextCursor: string | null }> {
  const query = { limit: 100, ...(cursor === null ? {} : { cursor }) };
  return answered(client.GET("/api/v1/agent/sessions", { params: { query } }));
}

export function rename(sessionId: string, title: string): Promise<Session> {
  const params = { path: { session_id: sessionId } };
  return answered(client.PATCH("/api/v1/agent/sessions/{session_id}", { params, body: { title } }));
}

export function close(sessionId: string, erase: boolean): Promise<Session> {
  const params = { path: { session_id: sessionId }, query: { erase } };
  return answered(client.DELETE("/api/v1/agent/sessions/{session_id}", { params }));
}

async function whole<T>(page: (after: string | undefined) => Promise<{ items: T[]; nextCursor: string | null }>) {
  const items: T[] = [];
  for (let after: string | undefined; ; ) {
    const found = await page(after);
    items.push(...found.items);
    if (found.nextCursor === null) return items;
    after = found.nextCursor;
  }
}

export function history(sessionId: string): Promise<Message[]> {
  return whole((after) => {
    const params = { path: { session_id: sessionId }, query: { limit: 200, ...(after ? { after } : {}) } };
    return answered(client.GET("/api/v1/agent/sessions/{session_id}/messages", { params }));
  });
}

export function tasks(sessionId: string): Promise<Task[]> {
  return whole((after) => {
    const params = { path: { session_id: sessionId }, query: { limit: 200, ...(after ? { after } : {}) } };
    return answered(client.GET("/api/v1/agent/sessions/{session_id}/tasks", { params }));
  });
}

export async function engines(): Promise<Engine[]> {
  return (await answered(client.GET("/api/v1/agent/engines"))).engines;
}

export function usage(groupBy: "day" | "model", from: string, to?: string): Promise<{ items: Totals[]; total: Totals }> {
  const query = { groupBy, from, ...(to === undefined ? {} : { to }) };
  return answered(client.GET("/api/v1/agent/usage", { params: { query } }));
}

/** Say something in a session, or in a new one. */
export async function speak(sessionId: string | null, recording: Blob): Promise<Schemas["SpokenAnswer"]> {
  const body = new FormData();
  body.set("audio", recording, "speech");
  const address = `${location.origin}${API}/sessions/${sessionId ?? "new"}/voice-message`;
  const response = await send(new Request(address, { method: "POST", body }));
  const said: unknown = await response.json().catch(() => null);
  if (!response.ok) throw refusal(response.status, said);
  return said as Schemas["SpokenAnswer"];
}

/** What a WebSocket is opened with: nothing, unless a token says who asks. */
export async function protocols(): Promise<string[]> {
  if (token === null) return [];
  const { ticket } = await answered(client.POST("/api/v1/agent/stream-tickets"));
  return ["agentcore", `agentcore.ticket.${ticket}`];
}
