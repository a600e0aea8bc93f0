// One call with one peer, by the pattern of "perfect negotiation" (WebRTC 1.0, section 10.7): either side may make an
// offer at any time; when both do, the polite one takes its own back.
export class Call {
  constructor({ number, polite, ice, media, send, onTrack, onText, onState, onChannel }) {
    Object.assign(this, { number, polite, send, making: false, ignoring: false, answering: false });
    const connection = this.connection = new RTCPeerConnection({ iceServers: ice });
    connection.onnegotiationneeded = () => this.offer();
    connection.onicecandidate = ({ candidate }) => candidate && this.tell({ candidate });
    connection.ontrack = ({ track, streams }) => onTrack(track, streams[0]);
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === "failed") connection.restartIce();
      onState(connection.connectionState);
    };
    for (const track of media?.getTracks() ?? []) connection.addTrack(track, media);
    this.channel = connection.createDataChannel("chat", { negotiated: true, id: 0 });
    this.channel.onmessage = ({ data }) => onText(String(data).slice(0, 1000));
    this.channel.onopen = this.channel.onclose = () => onChannel(this.channel.readyState === "open");
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
    this.channel.onclose = null;
    this.connection.close();
  }
}
