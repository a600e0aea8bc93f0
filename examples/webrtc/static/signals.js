// The way to the other browser while there is no call yet: a websocket that comes back when it was lost.
const FULL = 4409;

export class Signals {
  constructor(address, { onMessage, onLost, onFull }) {
    Object.assign(this, { address, onMessage, onLost, onFull, pause: 500, seated: false, done: false });
    this.open();
  }

  open() {
    this.socket = new WebSocket(this.address);
    this.socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "welcome") [this.pause, this.seated] = [500, true];
      if (message.type !== "ping") this.onMessage(message);
    };
    this.socket.onclose = ({ code }) => {
      if (this.done) return;
      // The seat of a connection that was lost is free again when the server has noticed: who sat there tries again.
      if (code === FULL && !this.seated) return this.onFull();
      this.onLost();
      setTimeout(() => this.done || this.open(), this.pause * (0.5 + Math.random()));
      this.pause = Math.min(this.pause * 2, 15000);
    };
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  close() {
    this.done = true;
    this.socket.close();
  }
}
