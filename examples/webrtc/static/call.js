// One call with one peer, by the pattern of "perfect negotiation" (WebRTC 1.0, section 10.7): either side may make an
// offer at any time; when both do, the polite one takes its own back. At the beginning it waits for the first offer and
// puts what it has into the answer, so that there is nothing to take back: to do so while addresses are looked for can
// leave a browser without any.
export class Call {
  constructor({ number, polite, ice, media, send, onTrack, onText, onState, onChannel }) {
    Object.assign(this, { number, polite, media, send, onText, onChannel });
    Object.assign(this, { making: false, ignoring: false, answering: false, channel: null });
    const connection = this.connection = new RTCPeerConnection({ iceServers: ice });
    connection.onnegotiationneeded = () => this.offer();
    connection.onicecandidate = ({ candidate }) => candidate && this.tell({ candidate });
    connection.ontrack = ({ streams }) => onTrack(streams[0]);
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === "failed" && !polite) connection.restartIce();
      onState(connection.connectionState);
    };
    if (!polite) this.bring();
  }

  // Add what this side has: tracks, if any, and the chat.
  bring() {
    for (const track of this.media?.getTracks() ?? []) this.connection.addTrack(track, this.media);
    const channel = this.channel = this.connection.createDataChannel("chat", { negotiated: true, id: 0 });
    channel.onmessage = ({ data }) => this.onText(String(data).slice(0, 1000));
    channel.onopen = channel.onclose = () => this.onChannel(channel.readyState === "open");
  }

  tell(signal) {
    this.send({ call: this.number, ...signal });
  }

  async offer() {
    try {
      this.making = true;
      await this.connection.setLocalDescription();
      this.tell({ description: this.connection.localDescription });
    } finally {
      this.making = false;
    }
  }

  async take({ description, candidate }) {
    if (candidate) return this.takeCandidate(candidate);
    const stable = this.connection.signalingState === "stable" || this.answering;
    const collision = description.type === "offer" && (this.making || !stable);
    this.ignoring = collision && !this.polite;
    if (this.ignoring) return;
    this.answering = description.type === "answer";
    try {
      await this.connection.setRemoteDescription(description); // takes back an offer of our own
    } finally {
      this.answering = false;
    }
    if (description.type !== "offer") return;
    if (!this.channel) this.bring();
    await this.connection.setLocalDescription();
    this.tell({ description: this.connection.localDescription });
  }

  async takeCandidate(candidate) {
    try {
      await this.connection.addIceCandidate(candidate);
    } catch (error) {
      if (!this.ignoring) throw error; // else it belongs to the offer that we did not take
    }
  }

  say(text) {
    this.channel.send(text);
  }

  close() {
    this.connection.onconnectionstatechange = null;
    if (this.channel) this.channel.onclose = null;
    this.connection.close();
  }
}
