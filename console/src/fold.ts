/**
 * A conversation, folded from its events.
 *
 * Law: the same events give the same conversation, in however many pieces they come. What a batch does not concern
 * stays the same object, so that only what changed is drawn again.
 */
import type { Frame, FrameOf, Message, Part, Session, Snapshot, Status, Task } from "./wire/types";

export interface Approval {
  approvalId: string;
  inputSha256: string;
  expiresAt: string;
  decision: FrameOf<"approval_resolved">["decision"] | null;
  by: string | null;
}
export interface Tool {
  kind: "tool";
  id: string;
  name: string;
  input: object;
  output: string | null;
  isError: boolean;
  approval: Approval | null;
}
export interface Said {
  kind: "text" | "thinking";
  text: string;
}
export interface Consent {
  kind: "consent";
  provider: string;
  url: string;
}
export interface Note {
  kind: "note";
  text: string;
}
export type Item = Said | Tool | Consent | Note;

export interface Turn {
  taskId: string;
  status: Status;
  prompt: Part[] | null; //: null: it waits, and is not in the history yet.
  items: Item[];
  end: { kind: "completed" | "error" | "cancelled"; code: string; message: string } | null;
  tokens: { input: number; output: number };
  costUsd: number | null;
  model: string;
  beganAt: string | null;
  endedAt: string | null;
}
export interface Conversation {
  session: Session | null;
  turns: readonly Turn[];
}

export const EMPTY: Conversation = { session: null, turns: [] };

function begun(taskId: string): Turn {
  const tokens = { input: 0, output: 0 };
  return { taskId, status: "queued", prompt: null, items: [], end: null, tokens, costUsd: null, model: "", beganAt: null, endedAt: null };
}

/** A copy that is written to, made as it is needed. */
class Draft {
  session: Session | null;
  turns: Turn[];
  private readonly owned = new Set<string>();

  constructor(from: Conversation) {
    this.session = from.session;
    this.turns = [...from.turns];
  }

  turn(taskId: string): Turn {
    const at = this.turns.findLastIndex((turn) => turn.taskId === taskId);
    if (at < 0) {
      const turn = begun(taskId);
      this.owned.add(taskId);
      this.turns.push(turn);
      return turn;
    }
    const found = this.turns[at] as Turn;
    if (this.owned.has(taskId)) return found;
    this.owned.add(taskId);
    return (this.turns[at] = { ...found, items: [...found.items], tokens: { ...found.tokens } });
  }

  /** Put a turn behind those that have begun: what waits comes last. */
  begin(turn: Turn): void {
    this.turns.splice(this.turns.indexOf(turn), 1);
    const last = this.turns.findLastIndex((other) => other.prompt !== null);
    this.turns.splice(last + 1, 0, turn);
  }
}

export function fold(from: Conversation, frames: readonly Frame[]): Conversation {
  const draft = new Draft(from);
  for (const frame of frames) told(draft, frame);
  return { session: draft.session, turns: draft.turns };
}

function told(draft: Draft, frame: Frame): void {
  switch (frame.type) {
    case "subscribed":
      draft.session = frame.snapshot.session;
      return;
    case "session_info":
      if (draft.session === null) return;
      draft.session = { ...draft.session };
      if (frame.title !== undefined) draft.session.title = frame.title;
      if (frame.status !== undefined) draft.session.status = frame.status;
      return;
    case "stream_reset":
    case "heartbeat":
    case "ack":
    case "problem":
      return;
  }
  // Consent is asked for in a session; it is shown where the conversation is by then.
  const taskId = frame.taskId ?? draft.turns.findLast((one) => one.prompt !== null)?.taskId;
  if (taskId === undefined) return;
  const turn = draft.turn(taskId);
  switch (frame.type) {
    case "task_info":
      turn.status = frame.status;
      if (frame.status === "running") turn.beganAt ??= frame.ts;
      return;
    case "user_message":
      turn.prompt = [...(turn.prompt ?? []), ...frame.content];
      draft.begin(turn);
      return;
    case "text":
    case "thinking":
      append(turn.items, frame.type, frame.content);
      return;
    case "tool_use":
      tool(turn, frame.toolUseId, frame.toolName, frame.input);
      return;
    case "tool_result": {
      const called = tool(turn, frame.toolUseId);
      called.output = frame.output;
      called.isError = frame.isError;
      return;
    }
    case "approval_required": {
      const { approvalId, inputSha256, expiresAt } = frame;
      const called = tool(turn, frame.toolUseId, frame.toolName, frame.input);
      called.approval = { approvalId, inputSha256, expiresAt, decision: null, by: null };
      return;
    }
    case "approval_resolved":
      decided(turn, frame.approvalId, frame.decision, frame.by);
      return;
    case "usage":
      turn.tokens.input += frame.inputTokens;
      turn.tokens.output += frame.outputTokens;
      if (frame.costUsd !== null) turn.costUsd = (turn.costUsd ?? 0) + frame.costUsd;
      turn.model = frame.model || turn.model;
      return;
    case "oauth_prompt":
      turn.items.push({ kind: "consent", provider: frame.provider, url: frame.url });
      return;
    case "resume_lost":
      turn.items.push({ kind: "note", text: "The engine has lost its own conversation, and was shown this one." });
      return;
    case "completed":
      turn.tokens = { input: frame.inputTokens, output: frame.outputTokens };
      turn.costUsd = frame.costUsd;
      turn.model = frame.model || turn.model;
      ended(turn, "completed", frame.ts, "", "");
      return;
    case "error":
    case "cancelled":
      ended(turn, frame.type, frame.ts, frame.code, frame.message);
      return;
    default:
      frame satisfies never;
  }
}

function append(items: Item[], kind: Said["kind"], text: string): void {
  const last = items.at(-1);
  if (last?.kind === kind) items[items.length - 1] = { kind, text: last.text + text };
  else items.push({ kind, text });
}

function tool(turn: Turn, id: string, name?: string, input?: object): Tool {
  const at = turn.items.findIndex((item) => item.kind === "tool" && item.id === id);
  const found = turn.items[at] as Tool | undefined;
  const called: Tool = found
    ? { ...found }
    : { kind: "tool", id, name: "", input: {}, output: null, isError: false, approval: null };
  if (name !== undefined) called.name = name;
  if (input !== undefined) called.input = input;
  if (found) turn.items[at] = called;
  else turn.items.push(called);
  return called;
}

function decided(turn: Turn, approvalId: string, decision: Approval["decision"], by: string | null): void {
  turn.items = turn.items.map((item) =>
    item.kind === "tool" && item.approval?.approvalId === approvalId
      ? { ...item, approval: { ...item.approval, decision, by } }
      : item,
  );
}

function ended(turn: Turn, kind: "completed" | "error" | "cancelled", at: string, code: string, message: string): void {
  turn.end = { kind, code, message };
  turn.status = kind === "error" ? "failed" : kind;
  turn.endedAt = at;
}

/**
 * Begin anew where the log alone does not tell everything any more: from the history, the tasks and what the running
 * one has said since. Of messages that the events will tell, those after `seq`, nothing is shown yet.
 */
export function restored(snapshot: Snapshot, messages: readonly Message[], tasks: readonly Task[], seq: number): Conversation {
  const draft = new Draft({ session: snapshot.session, turns: [] });
  for (const message of messages) {
    if (message.seq > seq) continue;
    const turn = draft.turn(message.taskId);
    if (message.role === "user" && !message.content.some((part) => part.type === "tool_result")) {
      turn.prompt = [...(turn.prompt ?? []), ...message.content];
      turn.beganAt ??= message.createdAt;
    } else for (const part of message.content) said(turn, part);
  }
  for (const task of tasks) {
    const turn = draft.turn(task.id);
    turn.status = task.status;
    turn.tokens = { input: task.usage.inputTokens, output: task.usage.outputTokens };
    turn.costUsd = task.usage.costUsd;
    turn.model = task.usage.model;
    turn.beganAt = task.startedAt;
    if (task.completedAt === null) continue;
    const kind = task.status === "failed" ? "error" : task.status === "cancelled" ? "cancelled" : "completed";
    ended(turn, kind, task.completedAt, task.error?.code ?? task.stopCode ?? "", task.error?.message ?? "");
  }
  if (snapshot.task !== null) {
    const turn = draft.turn(snapshot.task.id);
    if (snapshot.text !== "") append(turn.items, "text", snapshot.text);
    for (const { toolUseId, toolName, input, ...asked } of snapshot.pendingApprovals) {
      tool(turn, toolUseId, toolName, input).approval = { ...asked, decision: null, by: null };
    }
  }
  return { session: draft.session, turns: draft.turns };
}

function said(turn: Turn, part: Part): void {
  if (part.type === "text" || part.type === "thinking") turn.items.push({ kind: part.type, text: part.text });
  else if (part.type === "tool_use") tool(turn, part.toolUseId, part.toolName, part.input);
  else if (part.type === "tool_result") {
    const called = tool(turn, part.toolUseId);
    called.output = part.output;
    called.isError = part.isError;
  }
}
