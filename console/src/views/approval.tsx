/**
 * A call that waits for a person.
 *
 * Law: all of it is shown, every character seen, with the hash that the decision is sent with: what is approved is what
 * was read.
 */
import { useState } from "preact/hooks";
import { decide } from "../api";
import type { Approval, Tool } from "../fold";
import { attempt } from "../state";
import { Icon } from "./icons";
import { Pre, Visible } from "./parts";

export function ApprovalCard({ tool, approval, taskId }: { tool: Tool; approval: Approval; taskId: string }) {
  const [isSent, setSent] = useState(false);
  const [goesOn, setGoesOn] = useState(false);
  const { approvalId, inputSha256 } = approval;
  async function send(approved: boolean): Promise<void> {
    setSent(true);
    const more = approved ? {} : { onReject: goesOn ? ("continue" as const) : ("cancel" as const) };
    if ((await attempt(() => decide(taskId, { approved, approvalId, inputSha256, ...more }))) === null) setSent(false);
  }
  const fields = Object.entries(tool.input) as [string, unknown][];
  return (
    <section class="approval" aria-label={`Approval of ${tool.name}`} tabIndex={-1}>
      <h2>
        <Icon name="shield" />
        May{" "}
        <code>
          <Visible text={tool.name} />
        </code>{" "}
        be called?
      </h2>
      <dl>
        {fields.map(([name, value]) => (
          <div key={name}>
            <dt>
              <Visible text={name} />
            </dt>
            <dd>
              <Pre name={`Input: ${name}`} text={typeof value === "string" ? value : JSON.stringify(value, null, 2)} />
            </dd>
          </div>
        ))}
        {fields.length === 0 && <p class="quiet">It takes no input.</p>}
      </dl>
      <p class="hash">
        <span>SHA-256</span> <code>{inputSha256}</code>
      </p>
      <div class="row">
        <label class="check">
          <input type="checkbox" checked={goesOn} onChange={(event) => setGoesOn(event.currentTarget.checked)} />
          If rejected, go on without it
        </label>
        <span class="grow" />
        <button type="button" disabled={isSent} onClick={() => void send(false)}>
          Reject
        </button>
        <button type="button" class="primary" disabled={isSent} onClick={() => void send(true)}>
          Approve
        </button>
      </div>
      <p class="quiet">Waits until {new Date(approval.expiresAt).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" })}</p>
    </section>
  );
}
