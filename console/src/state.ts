/**
 * What the page knows, and what can be done.
 *
 * Law: what is shown of a conversation comes from its events alone; an action asks the server, and its events tell what
 * became of it, to this tab as to every other.
 */
import { batch, computed, signal } from "@preact/signals";
import * as api from "./api";
import { Refused } from "./api";
import { attachment, type Chosen } from "./files";
import { type Conversation, EMPTY, fold, restored, type Turn } from "./fold";
import { Follow, type Link } from "./stream";
import { type Engine, type Frame, type FrameOf, LIVE, type Session } from "./wire/types";

export type Place = { view: "chat"; sessionId: string | null } | { view: "usage" };
export interface Notice {
  id: number;
  text: string;
}

export const place = signal<Place>(placeOf(location.hash));
export const list = signal<{ items: readonly Session[]; more: string | null; isLoaded: boolean }>({ items: [], more: null, isLoaded: false });
export const conversation = signal<Conversation>(EMPTY);
export const link = signal<Link>("connecting");
export const isCaughtUp = signal(false);
export const engines = signal<readonly Engine[]>([]);
export const engine = signal(""); //: What was chosen; empty: what the session or the tenant has.
export const waiting = signal<ReadonlyMap<string, string>>(new Map()); //: Prompts of queued tasks, which no event tells.
export const notices = signal<readonly Notice[]>([]);
export const spoken = signal(""); //: What is announced to those who do not see it.
export const isDrawerOpen = signal(false);

export const sessionId = computed(() => (place.value.view === "chat" ? place.value.sessionId : null));
export const live = computed(() => conversation.value.turns.findLast((turn) => LIVE.has(turn.status)) ?? null);
export const isClosed = computed(() => conversation.value.session?.status === "closed");

const LIST_MS = 5_000;
const NOTICE_MS = 9_000;
let follow: Follow | null = null;
let notice = 0;

export function say(text: string): void {
  const id = ++notice;
  notices.value = [...notices.value.slice(-3), { id, text }];
  setTimeout(() => dismiss(id), NOTICE_MS);
}
export function dismiss(id: number): void {
  notices.value = notices.value.filter((one) => one.id !== id);
}

/** Do something, and say why it was refused if it was. */
export async function attempt<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refused && error.status === 401)) say(error instanceof Error ? error.message : String(error));
    return null;
  }
}

// ------------------------------------------------------------------------------------------------------------ places
function placeOf(hash: string): Place {
  if (hash === "#/usage") return { view: "usage" };
  const found = /^#\/s\/([0-9a-f-]{36})$/i.exec(hash);
  return { view: "chat", sessionId: found?.[1]?.toLowerCase() ?? null };
}

export function go(hash: string): void {
  isDrawerOpen.value = false;
  if (location.hash !== hash) location.hash = hash;
}

export function start(): void {
  addEventListener("hashchange", () => arrive(placeOf(location.hash)));
  setInterval(() => {
    if (!document.hidden) void refresh();
  }, LIST_MS);
  begin();
  arrive(place.value);
}

/** Ask for everything; again when a token was given. */
export function begin(): void {
  void refresh();
  void api.engines().then((found) => (engines.value = found), () => undefined);
}

function arrive(to: Place): void {
  const before = sessionId.value;
  place.value = to;
  if (to.view !== "chat") return;
  if (to.sessionId !== before || follow === null) watch(to.sessionId);
}

// ------------------------------------------------------------------------------------------------------ conversation
function watch(id: string | null): void {
  follow?.end();
  follow = null;
  batch(() => {
    conversation.value = EMPTY;
    isCaughtUp.value = id === null;
    link.value = "connecting";
    engine.value = "";
  });
  if (id === null) return;
  let head = Infinity;
  let held: Frame[] | null = null; // while the history is fetched that a reset asks for
  const told: Follow = new Follow(id, { frames, link: (state) => (link.value = state) });
  follow = told;

  function frames(batch_: Frame[]): void {
    for (const frame of batch_) if (frame.type === "subscribed") head = frame.headSeq;
    const at = batch_.findLastIndex((frame) => frame.type === "stream_reset");
    if (at >= 0) void reset(batch_[at] as FrameOf<"stream_reset">, batch_.slice(at + 1));
    else if (held !== null) held.push(...batch_);
    else show(batch_);
  }

  async function reset(frame: FrameOf<"stream_reset">, after: Frame[]): Promise<void> {
    const mine = (held = after);
    const found = await attempt(() => Promise.all([api.history(frame.sessionId), api.tasks(frame.sessionId)]));
    if (follow !== told || held !== mine) return; // elsewhere by now, or reset again
    if (found === null) return watch(frame.sessionId);
    held = null;
    conversation.value = restored(frame.snapshot, ...found, Number.parseInt(frame.cursor, 10));
    show(mine);
  }

  function show(batch_: readonly Frame[]): void {
    batch(() => {
      conversation.value = fold(conversation.value, batch_);
      const last = batch_.findLast((frame) => "cursor" in frame);
      if (last !== undefined && "cursor" in last && Number.parseInt(last.cursor, 10) >= head) isCaughtUp.value = true;
    });
    learn(conversation.value.turns);
    if (isCaughtUp.value) announce(batch_);
    if (batch_.some((frame) => frame.type === "task_info" || frame.type === "session_info" || frame.type === "completed")) void refresh();
  }
}

/** Fetch the prompts of tasks that wait: they enter the history, and the events, when they begin. */
function learn(turns: readonly Turn[]): void {
  for (const { taskId, prompt, status } of turns) {
    if (prompt !== null || status !== "queued" || waiting.value.has(taskId)) continue;
    waiting.value = new Map(waiting.value).set(taskId, "");
    void api.taskOf(taskId).then((task) => (waiting.value = new Map(waiting.value).set(taskId, task.prompt)), () => undefined);
  }
}

function announce(frames: readonly Frame[]): void {
  for (const frame of frames) {
    if (frame.type === "approval_required") spoken.value = `Approval needed: ${frame.toolName}`;
    else if (frame.type === "completed") spoken.value = "The answer is complete.";
    else if (frame.type === "cancelled") spoken.value = "The answer was stopped.";
    else if (frame.type === "error") spoken.value = `It failed: ${frame.message}`;
  }
}

export function hurry(): void {
  follow?.hurry();
}

/** Open the line again that was refused. */
export function watchAgain(): void {
  if (link.value === "refused") follow?.again();
}

// ----------------------------------------------------------------------------------------------------------- actions
export type Manner = "now" | "queue";

/** Send a prompt; what runs is stopped for it, or first brought to its end. */
export async function send(text: string, files: readonly Chosen[], manner: Manner): Promise<boolean> {
  const id = sessionId.value;
  const attachments = files.map(attachment);
  const running = live.value;
  const done = await attempt(async () => {
    if (running !== null && manner === "now" && running.status !== "cancelling") {
      try {
        return await api.inject(running.taskId, text, attachments);
      } catch (error) {
        if (!(error instanceof Refused && error.code === "task_not_live")) throw error; // it has just ended
      }
    }
    return api.ask({
      prompt: text,
      ...(id === null ? {} : { sessionId: id }),
      ...(engine.value === "" ? {} : { engineType: engine.value }),
      ...(attachments.length === 0 ? {} : { attachments }),
      onBusy: manner === "queue" ? "enqueue" : "interrupt",
    });
  });
  if (done === null) return false;
  if (done.sessionId !== id) go(`#/s/${done.sessionId}`);
  void refresh();
  return true;
}

export async function speak(recording: Blob): Promise<void> {
  const id = sessionId.value;
  const done = await attempt(() => api.speak(id, recording));
  if (done !== null && done.sessionId !== id) go(`#/s/${done.sessionId}`);
}

export async function stop(): Promise<void> {
  const running = live.value;
  if (running !== null) await attempt(() => api.stop(running.taskId));
}

export async function rename(title: string): Promise<void> {
  const id = sessionId.value;
  if (id !== null && title.trim() !== "") await attempt(() => api.rename(id, title.trim()));
}

export async function closeSession(erase: boolean): Promise<void> {
  const id = sessionId.value;
  if (id === null || (await attempt(() => api.close(id, erase))) === null) return;
  void refresh();
  if (erase) go("#/");
}

// -------------------------------------------------------------------------------------------------------------- list
let isRefreshing = false;

export async function refresh(): Promise<void> {
  if (isRefreshing || api.isTokenWanted.value) return;
  isRefreshing = true;
  try {
    const found = await api.sessions(null);
    // What was loaded beyond the first page stays, until it is asked for again.
    const oldest = found.items.at(-1)?.createdAt ?? "";
    const older = found.nextCursor === null ? [] : list.value.items.filter((session) => session.createdAt < oldest);
    const items = [...found.items, ...older];
    if (JSON.stringify(items) !== JSON.stringify(list.value.items) || !list.value.isLoaded) {
      list.value = { items, more: older.length > 0 ? list.value.more : found.nextCursor, isLoaded: true };
    }
  } catch {
    // The line says so itself: it is open to the same server.
  } finally {
    isRefreshing = false;
  }
}

export async function loadMore(): Promise<boolean> {
  const cursor = list.value.more;
  if (cursor === null) return false;
  const found = await attempt(() => api.sessions(cursor));
  if (found === null) return false;
  list.value = { ...list.value, items: [...list.value.items, ...found.items], more: found.nextCursor };
  return true;
}
