/**
 * The events of one session, for as long as somebody looks.
 *
 * Law: what arrives is handed on once and in order; the last cursor is kept and sent when the line is opened again, so
 * nothing is missed or told twice however often it breaks.
 */
import { API, Refused, isTokenWanted, protocols } from "./api";
import type { Frame } from "./wire/types";

export type Link = "connecting" | "live" | "waiting" | "refused" | "gone";
const SILENCE_MS = 40_000; // the server says something every 15 s
const FIRST_MS = 400;
const MOST_MS = 15_000;
const NOT_AUTHENTICATED = 4401;
const FORBIDDEN = 4403;
const NO_SUCH_SESSION = 4404;
const TOO_SLOW = 4408;

interface Told {
  frames(frames: Frame[]): void;
  link(link: Link): void;
}

export class Follow {
  private cursor: string | null = null;
  private socket: WebSocket | null = null;
  private failures = 0;
  private heardAt = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watch: ReturnType<typeof setInterval>;
  private batch: Frame[] = [];
  private isFlushDue = false;
  private isOver = false;

  constructor(
    private readonly sessionId: string,
    private readonly told: Told,
  ) {
    this.watch = setInterval(() => this.look(), 5_000);
    addEventListener("online", this.hurry);
    document.addEventListener("visibilitychange", this.hurry);
    void this.open();
  }

  end(): void {
    this.isOver = true;
    clearTimeout(this.timer);
    clearInterval(this.watch);
    removeEventListener("online", this.hurry);
    document.removeEventListener("visibilitychange", this.hurry);
    this.socket?.close();
  }

  /** Try at once instead of waiting. */
  readonly hurry = (): void => {
    if (this.isOver || document.hidden) return;
    if (this.socket === null && this.timer !== undefined) {
      clearTimeout(this.timer);
      void this.open();
    } else this.look();
  };

  /** Begin again where it was, because who asks can be shown now. */
  again(): void {
    this.failures = 0;
    void this.open();
  }

  private async open(): Promise<void> {
    this.timer = undefined;
    this.told.link("connecting");
    let offers: string[];
    try {
      offers = await protocols();
    } catch (error) {
      if (error instanceof Refused && error.status === 401) this.told.link("refused");
      else this.later();
      return;
    }
    if (this.isOver) return;
    const query = new URLSearchParams({ include: "all", ...(this.cursor === null ? {} : { after: this.cursor }) });
    const address = `${location.origin.replace(/^http/, "ws")}${API}/sessions/${this.sessionId}/stream?${query}`;
    const socket = new WebSocket(address, offers);
    this.socket = socket;
    this.heardAt = performance.now();
    socket.onmessage = (message) => this.hear(socket, String(message.data));
    socket.onclose = (event) => this.lose(socket, event.code);
  }

  private hear(socket: WebSocket, text: string): void {
    if (socket !== this.socket || this.isOver) return;
    const frame = JSON.parse(text) as Frame;
    this.heardAt = performance.now();
    if (this.failures > 0 || frame.type === "subscribed") {
      this.failures = 0;
      this.told.link("live");
    }
    if ("cursor" in frame) this.cursor = frame.cursor;
    this.batch.push(frame);
    if (this.isFlushDue) return;
    this.isFlushDue = true;
    // A page that nobody sees is not drawn, but goes on hearing.
    if (document.hidden) setTimeout(this.flush, 100);
    else requestAnimationFrame(this.flush);
  }

  private readonly flush = (): void => {
    this.isFlushDue = false;
    const batch = this.batch;
    this.batch = [];
    if (!this.isOver && batch.length > 0) this.told.frames(batch);
  };

  private lose(socket: WebSocket, code: number): void {
    if (socket !== this.socket || this.isOver) return;
    this.socket = null;
    if (code === NOT_AUTHENTICATED) {
      // The ticket may have been too old; who really is not known is refused the next one.
      if (this.failures === 0) return this.later();
      isTokenWanted.value = true;
      this.told.link("refused");
    } else if (code === NO_SUCH_SESSION || code === FORBIDDEN) this.told.link("gone");
    else if (code === TOO_SLOW) void this.open();
    else this.later();
  }

  private later(): void {
    if (this.isOver) return;
    const most = Math.min(MOST_MS, FIRST_MS * 2 ** this.failures);
    this.failures += 1;
    this.told.link("waiting");
    this.timer = setTimeout(() => void this.open(), most * (0.5 + Math.random() / 2));
  }

  /** Give up a line on which nothing comes, not even the sign of life. */
  private look(): void {
    if (this.socket === null || performance.now() - this.heardAt < SILENCE_MS) return;
    const socket = this.socket;
    this.lose(socket, 0);
    socket.close();
  }
}
