// The tab Live: the microphone goes out, the avatar's picture and sound come in.
const find = (name) => element.querySelector(`#live-${name}`)
const root = element.querySelector('.live'), path = root.dataset.path
const video = find('video'), start = find('make'), said = find('said'), faces = find('face')
let portrait = '', peer = null, session = '', microphone = null

const say = (text) => { said.textContent = text }
const ask = async (place, method, body) => {
  const answer = await fetch(path + place, { method, body })
  const found = await answer.json()
  if (!answer.ok) throw new Error(found.error)
  return found
}

// Pictures are brought to a moderate size here, upright as they are shown.
const smaller = async (file) => {
  const picture = await createImageBitmap(file)
  const scale = Math.min(1, 1280 / Math.max(picture.width, picture.height))
  const canvas = document.createElement('canvas')
  canvas.width = Math.round(scale * picture.width)
  canvas.height = Math.round(scale * picture.height)
  canvas.getContext('2d').drawImage(picture, 0, 0, canvas.width, canvas.height)
  return new Promise((done) => canvas.toBlob(done, 'image/jpeg', 0.95))
}

// Lets a face be picked, where there are several.
const offer = (count) => {
  faces.replaceChildren(...Array.from({ length: count }, (_, k) => new Option(k + 1, k + 1)))
  faces.parentElement.hidden = count < 2
}

const options = () => ({ motion_std: Number(find('lively').value) })

const stop = async (text = '') => {
  const ended = session, left = peer
  microphone?.getTracks().forEach((track) => track.stop())
  peer = microphone = video.srcObject = null
  session = ''
  start.textContent = 'Start'
  say(text)
  // First said, then hung up: a server that sees the connection go has ended the session itself.
  if (ended) await ask(`/sessions/${ended}`, 'DELETE').catch(() => {})
  left?.close()
}

const begin = async () => {
  if (!portrait && !find('portrait').files[0]) return say('Pick a portrait first.')
  if (!find('consent').checked) return say('Tick that you may animate this face and use this voice.')
  start.textContent = 'Stop'
  say('Preparing; the first time takes a minute …')
  microphone = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true } })
  const file = find('portrait').files[0]
  if (file && !portrait) {
    const chosen = faces.value
    const found = await ask(`/portraits?face=${chosen || 1}`, 'POST', await smaller(file))
    if (found.faces > 1 && !chosen) {
      await ask(`/portraits/${found.portrait}`, 'DELETE')
      offer(found.faces)
      return stop(`${found.faces} faces are in the picture: pick one, then start.`)
    }
    portrait = found.portrait
  }
  peer = new RTCPeerConnection()
  const shown = new MediaStream()
  peer.ontrack = (event) => { shown.addTrack(event.track); video.srcObject = shown }
  peer.onconnectionstatechange = () => {
    if (peer?.connectionState === 'failed') stop('The connection was lost.')
  }
  peer.addTrack(microphone.getAudioTracks()[0])
  peer.addTransceiver('video', { direction: 'recvonly' })
  await peer.setLocalDescription(await peer.createOffer())
  await new Promise((done) => {
    if (peer.iceGatheringState === 'complete') return done()
    peer.onicegatheringstatechange = () => { if (peer.iceGatheringState === 'complete') done() }
    setTimeout(done, 1000)
  })
  const { sdp, type } = peer.localDescription
  const answer = await ask('/offer', 'POST', JSON.stringify({ sdp, type, portrait, options: options() }))
  session = answer.session
  if (file) portrait = '' // an upload goes with its session
  await peer.setRemoteDescription({ type: answer.type, sdp: answer.sdp })
  say('Speak: the portrait says it.')
}

start.onclick = () => (peer || microphone ? stop() : begin().catch((error) => stop(error.message)))
find('example').onclick = () => {
  portrait = root.dataset.example
  find('portrait').value = ''
  offer(0)
  say('The example portrait is picked.')
}
find('portrait').onchange = () => { portrait = ''; offer(0) }
faces.onchange = () => { portrait = '' }
find('sound').onchange = (event) => { video.muted = !event.target.checked }
find('lively').onchange = () => {
  if (session) ask(`/sessions/${session}/change`, 'POST', JSON.stringify(options())).catch((error) => say(error.message))
}
window.addEventListener('pagehide', () => {
  if (session) fetch(`${path}/sessions/${session}`, { method: 'DELETE', keepalive: true })
})
