/** The words of the wire, by the names that are used here. */
import type { components as frames } from "./frames";
import type { components } from "./openapi";

type Schemas = components["schemas"];
export type Session = Schemas["SessionAnswer"];
export type Task = Schemas["TaskAnswer"];
export type Message = Schemas["MessageAnswer"];
export type Part = Message["content"][number];
export type Engine = Schemas["EngineAnswer"];
export type Totals = Schemas["TotalsAnswer"];
export type Status = Task["status"];
export type Frame = frames["schemas"]["Frame"];
export type FrameOf<T extends Frame["type"]> = Extract<Frame, { type: T }>;
export type Snapshot = FrameOf<"stream_reset">["snapshot"];

export const LIVE: ReadonlySet<string> = new Set(["running", "awaiting_approval", "cancelling"]);
