import { memo } from "preact/compat";
import { previewOf, sized } from "../files";
import type { Item, Tool, Turn } from "../fold";
import type { Part } from "../wire/types";
import { ApprovalCard } from "./approval";
import { Icon } from "./icons";
import { counted, dollars, Markdown, Pre, Visible } from "./parts";

export const TurnView = memo(function TurnView({ turn, waits }: { turn: Turn; waits: string }) {
  const isWorking = turn.status === "running" && turn.end === null;
  const last = turn.items.at(-1);
  const isAsking = last?.kind === "tool" && last.approval?.decision === null;
  return (
    <article class="turn" aria-label="Exchange" data-task={turn.taskId}>
      {turn.prompt !== null ? <Asked parts={turn.prompt} /> : <Queued turn={turn} text={waits} />}
      {(turn.items.length > 0 || isWorking) && (
        <div class="answer">
          {turn.items.map((item, at) => (
            <ItemView key={at} item={item} taskId={turn.taskId} isLast={at === turn.items.length - 1 && isWorking} isOver={turn.end !== null} />
          ))}
          {isWorking && last?.kind !== "text" && !isAsking && <Working />}
        </div>
      )}
      <End turn={turn} />
    </article>
  );
});

function Asked({ parts }: { parts: Part[] }) {
  const text = parts.map((part) => (part.type === "text" ? part.text : "")).join("");
  const files = parts.filter((part) => part.type === "image" || part.type === "file");
  return (
    <div class="asked">
      {files.length > 0 && (
        <ul class="files">
          {files.map((file, at) => {
            const preview = previewOf(file.sha256);
            const name = file.fileName ?? file.mediaType;
            return (
              <li key={at}>
                {preview !== undefined ? (
                  <img src={preview} alt={name} />
                ) : (
                  <span class="file">
                    <Icon name="file" />
                    <bdi>{name}</bdi> <span class="quiet">{sized(file.size)}</span>
                  </span>
                )}
              </li>
            );
          })}
        </ul>
      )}
      {text !== "" && <div class="bubble">{text}</div>}
    </div>
  );
}

function Queued({ turn, text }: { turn: Turn; text: string }) {
  if (turn.end !== null && text === "") return null;
  return (
    <div class="asked queued">
      {text !== "" && <div class="bubble">{text}</div>}
      {turn.end === null && <p class="quiet">Waits until the answer before it is complete</p>}
    </div>
  );
}

function Working() {
  return (
    <p class="working">
      <span class="pulse" aria-hidden="true" />
      <span class="unseen">Working</span>
    </p>
  );
}

function ItemView({ item, taskId, isLast, isOver }: { item: Item; taskId: string; isLast: boolean; isOver: boolean }) {
  switch (item.kind) {
    case "text":
      return (
        <div class={`said ${isLast ? "growing" : ""}`}>
          <Markdown text={item.text} />
        </div>
      );
    case "thinking":
      return (
        <details class="thinking">
          <summary>{isLast ? "Thinking" : "Thought"}</summary>
          <div class="thought">{item.text}</div>
        </details>
      );
    case "tool":
      return <ToolView tool={item} taskId={taskId} isOver={isOver} />;
    case "consent":
      return <Consent provider={item.provider} url={item.url} />;
    case "note":
      return <p class="quiet">{item.text}</p>;
  }
}

function ToolView({ tool, taskId, isOver }: { tool: Tool; taskId: string; isOver: boolean }) {
  const approval = tool.approval;
  if (approval !== null && approval.decision === null && !isOver) return <ApprovalCard tool={tool} approval={approval} taskId={taskId} />;
  const isRefused = approval !== null && approval.decision !== null && approval.decision !== "approved";
  const state = isRefused
    ? approval.decision
    : tool.output === null
      ? isOver
        ? "not run to its end"
        : "running"
      : tool.isError
        ? "failed"
        : "done";
  return (
    <details class={`tool ${state === "running" ? "running" : tool.isError || isRefused ? "failed" : ""}`}>
      <summary>
        <Icon name="tool" />
        <code>
          <Visible text={tool.name} />
        </code>
        <bdi class="hint">{firstWords(tool.input)}</bdi>
        <span class="state">{state}</span>
      </summary>
      <div class="tool-body">
        <p class="label">Input</p>
        <Pre name="Input" text={JSON.stringify(tool.input, null, 2)} />
        {tool.output !== null && (
          <>
            <p class="label">Output</p>
            <Pre name="Output" text={tool.output} />
          </>
        )}
        {approval?.decision && (
          <p class="quiet">
            {approval.decision}
            {approval.by ? ` by ${approval.by}` : ""} · <code>{approval.inputSha256.slice(0, 16)}</code>
          </p>
        )}
      </div>
    </details>
  );
}

function firstWords(input: object): string {
  const first = Object.values(input)[0] as unknown;
  return first === undefined ? "" : (typeof first === "string" ? first : JSON.stringify(first)).slice(0, 120);
}

function Consent({ provider, url }: { provider: string; url: string }) {
  const isAddress = /^https?:\/\//i.test(url) && URL.canParse(url);
  return (
    <div class="consent">
      <p>
        The agent asks for your consent at <bdi>{provider}</bdi>.
      </p>
      {isAddress && (
        <a href={url} target="_blank" rel="noopener noreferrer nofollow">
          Open {new URL(url).host}
        </a>
      )}
    </div>
  );
}

const STOPPED: Record<string, string> = {
  USER_CANCEL: "Stopped",
  USER_INJECT: "Stopped for what was said next",
  VOICE_INJECT: "Stopped for what was spoken next",
  SUPERSEDED: "Stopped for another prompt",
  USER_REJECT: "Stopped, because the call was rejected",
  SESSION_CLOSED: "Stopped, because the conversation was closed",
  APPROVAL_EXPIRED: "Stopped, because nobody decided in time",
  BUDGET: "Stopped at its budget",
  SHUTDOWN: "Stopped, because the server went down",
};

function End({ turn }: { turn: Turn }) {
  const { end, tokens, costUsd, model, beganAt, endedAt } = turn;
  if (turn.status === "cancelling" && end === null) return <p class="end">Stopping…</p>;
  if (end === null) return null;
  const facts = [
    model,
    tokens.input + tokens.output > 0 ? `${counted.format(tokens.input)} in, ${counted.format(tokens.output)} out` : "",
    costUsd === null ? "" : dollars(costUsd),
    beganAt !== null && endedAt !== null ? `${((Date.parse(endedAt) - Date.parse(beganAt)) / 1000).toFixed(1)} s` : "",
  ].filter((fact) => fact !== "");
  return (
    <div class="end">
      {end.kind === "error" && (
        <p class="failure" role="note">
          <strong>It failed.</strong> {end.message} <code>{end.code}</code>
        </p>
      )}
      {end.kind === "cancelled" && <p>{STOPPED[end.code] ?? `Stopped (${end.code})`}</p>}
      {facts.length > 0 && <p class="facts">{facts.join(" · ")}</p>}
    </div>
  );
}
