/** Small things that are used in several places. */
import type { ComponentChildren } from "preact";
import { memo } from "preact/compat";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { Token } from "marked";
import { blocks, drawn } from "../text/markdown";
import { pieces } from "../text/visible";

/** Markdown of a model; of a text that grows only the last block is drawn again. */
export const Markdown = memo(function Markdown({ text }: { text: string }) {
  const found = useMemo(() => blocks(text), [text]);
  return (
    <div class="prose">
      {found.map(({ key, token }) => (
        <Drawn key={key} raw={token.raw} token={token} />
      ))}
    </div>
  );
});

const Drawn = memo(
  function Drawn({ token }: { raw: string; token: Token }) {
    const place = useRef<HTMLDivElement>(null);
    useLayoutEffect(() => place.current?.replaceChildren(drawn(token)), [token]);
    return <div class="block" ref={place} />;
  },
  (before, after) => before.raw === after.raw && before.token.type === after.token.type,
);

/** Text whose every character is seen. */
export function Visible({ text }: { text: string }) {
  return (
    <>
      {pieces(text).map((piece, at) =>
        piece.isEscaped ? (
          <mark key={at} class="escaped" title="A character that is not seen, or that looks like another">
            {piece.text}
          </mark>
        ) : (
          piece.text
        ),
      )}
    </>
  );
}

export function Pre({ text, name }: { text: string; name: string }) {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={name}>
      <pre dir="ltr">
        <Visible text={text} />
      </pre>
    </div>
  );
}

export function Dialog({ title, onClose, children }: { title: string; onClose: (() => void) | null; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    return () => shown?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
      onClick={(event) => event.target === dialog.current && onClose?.()}
    >
      <div class="dialog-body">
        <h2>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["minute", 60],
  ["hour", 3600],
  ["day", 86_400],
];
const near = new Intl.RelativeTimeFormat("en", { style: "narrow", numeric: "auto" });
const far = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });

export function ago(time: string): string {
  const seconds = (Date.parse(time) - Date.now()) / 1000;
  if (seconds > -60) return "now";
  if (seconds < -6 * 86_400) return far.format(new Date(time));
  const [unit, size] = UNITS.findLast(([, length]) => -seconds >= length) as [Intl.RelativeTimeFormatUnit, number];
  return near.format(Math.round(seconds / size), unit);
}

export const counted = new Intl.NumberFormat("en");
export const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
export const dollars = (amount: number): string =>
  `$${amount.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: amount < 1 ? 4 : 2 })}`;
