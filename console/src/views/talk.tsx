/** Push to talk: held, by pointer or by key, or pressed once to begin and once to end. */
import { useEffect, useRef, useState } from "preact/hooks";
import { say, speak, spoken } from "../state";
import { Recording } from "../voice";
import { Icon } from "./icons";

const TAP_MS = 350;

export function Talk() {
  const [state, setState] = useState<"idle" | "recording" | "sending">("idle");
  const recording = useRef<Recording | null>(null);
  const isHeld = useRef(false);
  const pressedAt = useRef(0);

  async function press(): Promise<void> {
    if (recording.current !== null) return void finish(); // the second press of two
    if (state !== "idle") return;
    isHeld.current = true;
    pressedAt.current = performance.now();
    setState("recording");
    try {
      recording.current = await Recording.begin();
      spoken.value = "Listening.";
    } catch (error) {
      setState("idle");
      say((error as Error).message);
    }
  }

  function release(): void {
    if (!isHeld.current) return;
    isHeld.current = false;
    if (performance.now() - pressedAt.current > TAP_MS) void finish();
  }

  async function finish(isWanted = true): Promise<void> {
    const one = recording.current;
    if (one === null) return;
    recording.current = null;
    setState("sending");
    const sound = await one.end();
    if (isWanted) await speak(sound);
    setState("idle");
  }

  useEffect(() => {
    const cancel = (event: KeyboardEvent): void => {
      if (event.key === "Escape") void finish(false);
    };
    addEventListener("keydown", cancel);
    addEventListener("pointerup", release);
    return () => {
      removeEventListener("keydown", cancel);
      removeEventListener("pointerup", release);
    };
  }, []);
  useEffect(() => () => void finish(false), []);

  const isKey = (event: KeyboardEvent): boolean => event.key === " " || event.key === "Enter";
  return (
    <span class={`talk ${state}`}>
      <button
        type="button"
        class="bare square"
        aria-label="Talk"
        aria-pressed={state === "recording"}
        title="Hold to speak, or press once to begin and once to end"
        disabled={state === "sending"}
        onPointerDown={(event) => event.button === 0 && void press()}
        onKeyDown={(event) => {
          if (!isKey(event)) return;
          event.preventDefault();
          if (!event.repeat) void press();
        }}
        onKeyUp={(event) => isKey(event) && release()}
        onClick={(event) => event.detail === 0 && event.preventDefault()}
      >
        <Icon name="mic" />
      </button>
      {state === "recording" && <Level of={() => recording.current?.level() ?? 0} />}
      {state === "sending" && <span class="quiet">Listening to it…</span>}
    </span>
  );
}

function Level({ of }: { of: () => number }) {
  const meter = useRef<HTMLSpanElement>(null);
  const bar = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    let frame = 0;
    const draw = (): void => {
      const level = of();
      meter.current?.setAttribute("aria-valuenow", String(Math.round(level * 100)));
      if (bar.current !== null) bar.current.style.transform = `scaleX(${level})`;
      frame = requestAnimationFrame(draw);
    };
    draw();
    return () => cancelAnimationFrame(frame);
  }, []);
  return (
    <span class="level" role="meter" aria-label="Level" aria-valuemin={0} aria-valuemax={100} aria-valuenow={0} ref={meter}>
      <span ref={bar} />
    </span>
  );
}
