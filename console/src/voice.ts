/** A recording, from the press of a button until it is let go. */
const FORMATS = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];
const PIECE_MS = 250;

export class Recording {
  private readonly pieces: Blob[] = [];
  private readonly samples: Float32Array<ArrayBuffer>;
  readonly beganAt = performance.now();

  private constructor(
    private readonly stream: MediaStream,
    private readonly recorder: MediaRecorder,
    private readonly context: AudioContext,
    private readonly analyser: AnalyserNode,
  ) {
    this.samples = new Float32Array(analyser.fftSize);
    recorder.ondataavailable = (event) => this.pieces.push(event.data);
    recorder.start(PIECE_MS);
  }

  static async begin(): Promise<Recording> {
    if (!navigator.mediaDevices) throw new Error("The microphone needs HTTPS, or a loopback address.");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, noiseSuppression: true } }).catch(() => {
      throw new Error("The microphone may not be used: allow it for this page.");
    });
    const mimeType = FORMATS.find((format) => MediaRecorder.isTypeSupported(format));
    const recorder = new MediaRecorder(stream, mimeType === undefined ? {} : { mimeType });
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    context.createMediaStreamSource(stream).connect(analyser);
    return new Recording(stream, recorder, context, analyser);
  }

  /** How loud it is, 0 to 1. */
  level(): number {
    this.analyser.getFloatTimeDomainData(this.samples);
    const power = this.samples.reduce((sum, sample) => sum + sample * sample, 0) / this.samples.length;
    const decibels = 10 * Math.log10(power + 1e-9);
    return Math.min(1, Math.max(0, (decibels + 60) / 50));
  }

  async end(): Promise<Blob> {
    if (this.recorder.state !== "inactive") {
      await new Promise((done) => {
        this.recorder.onstop = done;
        this.recorder.stop();
      });
    }
    for (const track of this.stream.getTracks()) track.stop();
    await this.context.close();
    return new Blob(this.pieces, { type: this.recorder.mimeType });
  }
}
