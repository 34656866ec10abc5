import assert from "node:assert/strict";
import { test } from "node:test";
import { EMPTY, fold, restored, type Conversation } from "../src/fold";
import type { Frame, Message, Snapshot, Task } from "../src/wire/types";

const SESSION = "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34";
let seq = 0;

function frame(type: Frame["type"], more: object = {}, taskId = "t1"): Frame {
  seq += 1;
  return { type, cursor: `${seq}`, sessionId: SESSION, taskId, ts: "2026-01-01T09:30:00.000Z", ...more } as Frame;
}
const asks = (text: string, taskId = "t1"): Frame => frame("user_message", { messageId: "m", content: [{ type: "text", text }] }, taskId);
const says = (content: string, taskId = "t1"): Frame => frame("text", { content }, taskId);
const run = (frames: Frame[]): Conversation => fold(EMPTY, frames);

function talk(): Frame[] {
  return [
    frame("task_info", { status: "running" }),
    asks("go"),
    frame("thinking", { content: "Let me " }),
    frame("thinking", { content: "think." }),
    says("Hel"),
    says("lo"),
    frame("tool_use", { toolUseId: "u1", toolName: "look", input: { at: "it" } }),
    frame("tool_result", { toolUseId: "u1", output: "seen", isError: false }),
    says(" again"),
    frame("completed", { summary: "", tokensUsed: 3, inputTokens: 2, outputTokens: 1, costUsd: 0.5, model: "m" }),
  ];
}

test("a conversation is the same in however many pieces its events come", () => {
  const frames = talk();
  const whole = run(frames);
  for (let at = 0; at <= frames.length; at += 1) {
    assert.deepEqual(fold(run(frames.slice(0, at)), frames.slice(at)), whole);
  }
  assert.deepEqual(whole.turns[0]?.items.map((item) => ("text" in item ? item.text : item.kind)), ["Let me think.", "Hello", "tool", " again"]);
});

test("what a batch does not concern stays the same object, and nothing that was given is changed", () => {
  const before = run(talk());
  const kept = structuredClone(before);
  const after = fold(before, [frame("task_info", { status: "queued" }, "t2"), says("more", "t1")]);
  assert.deepEqual(before, kept);
  assert.notEqual(after.turns[0], before.turns[0]);
  const later = fold(after, [asks("two", "t2")]);
  assert.equal(later.turns[0], after.turns[0]);
});

test("what waits stands behind what has begun, whatever was asked first", () => {
  const found = run([asks("one"), frame("task_info", { status: "queued" }, "t2"), frame("task_info", { status: "queued" }, "t3"), asks("three", "t3")]);
  assert.deepEqual(found.turns.map((turn) => turn.taskId), ["t1", "t3", "t2"]);
});

test("an approval belongs to its call, before and after it is decided", () => {
  const asked = { approvalId: "a1", toolUseId: "u1", toolName: "rm", input: { path: "x" }, inputSha256: "0".repeat(64), expiresAt: "2026-01-01T09:30:00.000Z" };
  const frames = [asks("go"), frame("approval_required", asked), frame("approval_resolved", { approvalId: "a1", decision: "approved", by: "ann" }), frame("tool_use", asked), frame("tool_result", { toolUseId: "u1", output: "gone", isError: false })];
  const items = run(frames).turns[0]?.items ?? [];
  assert.equal(items.length, 1);
  const tool = items[0];
  assert.ok(tool?.kind === "tool");
  assert.deepEqual([tool.approval?.decision, tool.approval?.by, tool.output], ["approved", "ann", "gone"]);
});

test("after a reset nothing is there twice that the events will tell", () => {
  const message = (at: number, role: string, text: string) => ({ id: `${at}`, seq: at, role, content: [{ type: "text", text }], interrupted: false, taskId: "t1", createdAt: "2026-01-01T09:30:00.000Z" }) as Message;
  const task = { id: "t1", status: "running", usage: { inputTokens: 0, outputTokens: 0, costUsd: null, model: "" }, startedAt: null, completedAt: null } as Task;
  const snapshot = { session: { id: SESSION, title: "x" }, task, pendingApprovals: [], text: "so far" } as unknown as Snapshot;
  const found = restored(snapshot, [message(2, "user", "go"), message(9, "assistant", "so far and more")], [task], 5);
  const { turns } = fold(found, [says(" and more")]);
  assert.deepEqual(turns[0]?.items, [{ kind: "text", text: "so far and more" }]);
});
