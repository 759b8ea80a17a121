// What a page of a session does with the browser's own WebRTC and fetch; `window.token` says who it is.
const sdp = () => ({"Content-Type": "application/sdp", "Authorization": "Bearer " + window.token});

async function open(url, peer) {
  await peer.setLocalDescription();
  await new Promise(done => {
    if (peer.iceGatheringState === "complete") done();
    peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && done();
    setTimeout(done, 300);
  });
  const answer = await fetch(url, {method: "POST", headers: sdp(), body: peer.localDescription.sdp});
  const where = answer.headers.get("Location"), text = await answer.text();
  if (answer.status === 201) {
    await peer.setRemoteDescription({type: "answer", sdp: text});
  } else if (answer.status === 406) {
    await peer.setRemoteDescription({type: "offer", sdp: text});
    await peer.setLocalDescription();
    const taken = await fetch(where, {method: "PATCH", headers: sdp(), body: peer.localDescription.sdp});
    if (taken.status !== 204) throw new Error("answer " + taken.status);
  } else {
    throw new Error(answer.status + " " + text);
  }
  return where;
}

function up(peer) {
  return new Promise((done, fail) => {
    const look = () => peer.connectionState === "connected" ? done() : peer.connectionState === "failed" && fail(new Error("failed"));
    peer.onconnectionstatechange = look;
    look();
  });
}

// A picture that shows its own time in hundredths of a second, as 20 blocks of black and white.
function clock(rate) {
  const canvas = document.createElement("canvas");
  canvas.width = 640; canvas.height = 480;
  const brush = canvas.getContext("2d");
  let drawn = 0;
  setInterval(() => {
    drawn += 1;
    brush.fillStyle = `hsl(${drawn % 360} 40% 50%)`;
    brush.fillRect(0, 0, 640, 480);
    const now = Math.floor(performance.now() / 10);
    for (let bit = 0; bit < 20; bit += 1) {
      brush.fillStyle = (now >> bit) & 1 ? "#fff" : "#000";
      brush.fillRect(bit * 32, 0, 32, 32);
    }
  }, 1000 / rate);
  return canvas.captureStream(rate);
}

window.publish = async (url, kind) => {
  const began = performance.now();
  const stream = kind === "clock" ? clock(30)
    : kind === "screen" ? await navigator.mediaDevices.getDisplayMedia({video: true})
    : await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 640, height: 480, frameRate: 30}});
  const peer = window.publisher = new RTCPeerConnection();
  for (const track of stream.getTracks()) {
    const media = peer.addTransceiver(track, {direction: "sendonly", streams: [stream]});
    if (window.codec && track.kind === "video") {
      const all = RTCRtpReceiver.getCapabilities("video").codecs;
      media.setCodecPreferences(all.filter(each => each.mimeType === window.codec || each.mimeType === "video/rtx"));
    }
  }
  const where = await open(url, peer);
  await up(peer);
  return {where, ms: performance.now() - began};
};

window.seen = {frames: 0, pictures: new Set(), delays: []};

window.view = async (url, pictures, sounds) => {
  const began = performance.now(), seen = window.seen;
  const peer = window.viewer = new RTCPeerConnection();
  for (let i = 0; i < pictures; i += 1) peer.addTransceiver("video", {direction: "recvonly"});
  for (let i = 0; i < sounds; i += 1) peer.addTransceiver("audio", {direction: "recvonly"});
  const video = document.createElement("video");
  video.muted = video.autoplay = video.playsInline = true;
  document.body.append(video);
  const stream = new MediaStream();
  peer.ontrack = event => {
    if (event.track.kind === "video" && stream.getVideoTracks().length) return;
    stream.addTrack(event.track);
    video.srcObject = stream;
    video.play();
  };
  const canvas = document.createElement("canvas");
  canvas.width = 640; canvas.height = 48;
  const brush = canvas.getContext("2d", {willReadFrequently: true});
  const first = new Promise(done => {
    const look = () => {
      seen.frames += 1;
      brush.drawImage(video, 0, 0, 640, 48);
      const row = brush.getImageData(0, 1, 640, 1).data;
      let time = 0;
      for (let bit = 0; bit < 20; bit += 1) if (row[(bit * 32 + 16) * 4] > 128) time += 2 ** bit;
      seen.delays.push(performance.now() - time * 10);
      const all = brush.getImageData(0, 0, 640, 48).data;
      let sum = 0;
      for (let i = 0; i < all.length; i += 97) sum = (sum * 31 + all[i]) % 1000003;
      seen.pictures.add(sum);
      done(performance.now() - began);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  });
  const where = await open(url, peer);
  await up(peer);
  const connected = performance.now() - began;
  const frame = pictures ? await Promise.race([first, new Promise(done => setTimeout(() => done(-1), 15000))]) : 0;
  return {where, connected, first: frame};
};

window.watched = async ms => {
  const seen = window.seen;
  seen.frames = 0; seen.delays = []; seen.pictures.clear();
  await new Promise(done => setTimeout(done, ms));
  const delays = seen.delays.slice().sort((one, other) => one - other);
  const told = {fps: seen.frames / ms * 1000, pictures: seen.pictures.size,
    p50: delays[delays.length >> 1], p95: delays[Math.floor(delays.length * 0.95)]};
  for (const each of (await window.viewer.getStats()).values()) {
    if (each.type === "inbound-rtp") told[each.kind] = {packets: each.packetsReceived, lost: each.packetsLost,
      decoded: each.framesDecoded, freezes: each.freezeCount, nacks: each.nackCount,
      concealed: each.concealedSamples, samples: each.totalSamplesReceived};
  }
  return told;
};
