// The pipeline player: stations with levels, sampled requests on their way, retries, and what came to nothing.
// Every number it shows is in the film (bpsim/plots/film.py); here they are only looked up and drawn.

const BLUE = "#5790fc", ORANGE = "#f89c20", RED = "#e42536", GREY = "#7d7e84", DEEP = "#00224e", BRIGHT = "#fdea45"
const EASE_S = 0.14, FLIGHT_S = 0.8, CALM_STEP_S = 0.5
const NAMES = { client: "Client", api: "API", producer: "Producer", broker: "Broker", consumer: "Consumer", flink: "Flink", writer: "DB writer" }

const players = new WeakMap()

export default function (component) {
  const { parentElement, data } = component
  const root = parentElement.querySelector(".player")
  if (!root) return
  let player = players.get(root)
  if (player) player.load(data)
  else players.set(root, (player = new Player(root, data)))
  return () => { player.stop(); players.delete(root) }
}

class Player {
  constructor(root, data) {
    this.root = root
    this.canvas = root.querySelector("canvas")
    this.pen = this.canvas.getContext("2d")
    this.playing = false
    this.speed = 10
    this.now = 0
    this.flights = []
    this.calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches
    this.listen()
    this.load(data)
    this.watch = new ResizeObserver(() => this.resize())
    this.watch.observe(this.canvas)
    this.root.ontransitionend = () => this.redraw()  // of the text's colour: another theme
    this.resize()
  }

  stop() {
    cancelAnimationFrame(this.ticking)
    this.ticking = null
    this.stopped = true
    this.watch.disconnect()
  }

  // Pictures are drawn only while something moves; whatever sets something moving says so here.
  wake() {
    if (this.ticking || this.stopped) return
    this.wall = null
    this.ticking = requestAnimationFrame((wall) => this.tick(wall))
  }

  redraw() {
    this.drawn = null
    this.wake()
  }

  load(data) {
    if (this.key === data.key && !data.live) return
    const another = this.key !== data.key
    this.key = data.key
    this.live = data.live
    this.film = typeof data.film === "string" ? JSON.parse(data.film) : data.film
    this.bookmarks = data.bookmarks
    this.tiers = this.film.stations.map((station) => station.tier)
    if (another || !this.spots) this.spots = new Map()
    this.tokens = readTokens(this.film.tokens, this.tiers)
    this.root.classList.toggle("live", !!data.live)
    this.find(".time").max = this.film.end_s
    this.find(".every").textContent = this.tokens.every > 1 ? `one of ${this.tokens.every} requests is shown` : "every request is shown"
    this.showBookmarks()
    if (data.live) {
      if (another) this.now = this.film.since_s
      this.play(data.live === "running")
    } else if (another) {
      this.jump(data.start ?? 0)
      this.play(data.autoplay && !this.calm)
    }
    if (this.boxes) this.resize()
  }

  find(selector) { return this.root.querySelector(selector) }

  listen() {
    this.find(".play").onclick = () => {
      if (!this.playing && this.now >= this.film.end_s) this.jump(0)
      this.play(!this.playing)
    }
    this.find(".step").onclick = () => this.step(1)
    this.find(".back").onclick = () => this.step(-1)
    this.find(".speed").onchange = (event) => { this.speed = Number(event.target.value) }
    this.find(".time").oninput = (event) => {
      const time = Number(event.target.value)
      this.play(false)
      this.jump(time)
    }
    const calm = this.find(".calm input")
    calm.checked = this.calm
    calm.onchange = () => { this.calm = calm.checked; this.flights = [] }
  }

  play(wanted) {
    this.playing = !!wanted
    const button = this.find(".play")
    button.textContent = this.playing ? "Pause" : "Play"
    button.setAttribute("aria-pressed", String(this.playing))
    if (!this.playing) this.speak()
    this.wake()
  }

  step(frames) {
    this.play(false)
    const times = this.film.time_s
    const frame = this.frame()
    const next = times[Math.min(Math.max(frame + frames, 0), times.length - 1)]
    this.jump(frames > 0 && frame === times.length - 1 ? this.film.end_s : next)
  }

  jump(time) {
    this.now = Math.min(Math.max(time, 0), this.film.end_s)
    this.spots.clear()
    this.flights = []
    this.speak()
    this.redraw()
  }

  showBookmarks() {
    const place = this.find(".bookmarks")
    place.replaceChildren(...this.bookmarks.map((mark) => {
      const button = document.createElement("button")
      button.textContent = `${mark.label} ${mark.time_s.toFixed(1)} s`
      button.title = mark.words
      button.dataset.name = mark.name
      button.onclick = () => { this.play(false); this.jump(mark.time_s) }
      return button
    }))
  }

  // The last frame that has begun.
  frame() {
    const times = this.film.time_s
    let low = 0, high = times.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (times[middle] <= this.now) low = middle
      else high = middle - 1
    }
    return low
  }

  states(tier) { return this.film.states.filter((s) => s.tier === tier && s.begin <= this.now && this.now < s.end) }

  // The moment in words, for ears and for tests.
  speak() {
    const frame = this.frame()
    const said = this.film.stations.map((station) => {
      const words = stationWords(station, frame)
      const held = this.states(station.tier).map((state) => state.words)
      return `${NAMES[station.tier]}: ${[words.amount, words.state, ...held].filter(Boolean).join(", ")}`
    })
    const rates = this.film.rates
    const text = `At ${this.now.toFixed(1)} s: ${num(rates.offered[frame])}/s new requests, ${num(rates.retries[frame])}/s retries, ` +
      `${num(rates.goodput[frame])}/s answered in time.`
    this.find(".words").textContent = text
    this.canvas.setAttribute("aria-label", `The pipeline. ${text} ${said.join("; ")}.`)
    this.find("output").textContent = `${this.now.toFixed(1)} s`
    this.find(".time").value = this.now
    this.root.dataset.time = this.now.toFixed(3)
  }

  resize() {
    const width = this.canvas.clientWidth
    if (!width || !this.film) return
    const scale = window.devicePixelRatio || 1
    this.boxes = layOut(width, this.tiers)
    this.canvas.width = width * scale
    this.canvas.height = this.boxes.height * scale
    this.canvas.style.height = `${this.boxes.height}px`
    this.pen.setTransform(scale, 0, 0, scale, 0, 0)
    this.spots.clear()
    this.redraw()
  }

  tick(wall) {
    const passed = Math.min((wall - (this.wall ?? wall)) / 1000, 0.25)
    this.wall = wall
    this.fps = passed > 0 ? 0.95 * (this.fps ?? 60) + 0.05 / passed : this.fps ?? 60
    const before = this.now
    if (this.playing) this.advance(passed)
    if (this.boxes) {
      this.draw(passed, before)
      this.drawn = this.now
      this.root.dataset.fps = this.fps.toFixed(1)
    }
    const moving = this.playing || this.flights.length || (this.boxes && this.drawn === this.now && !this.settled)
    this.ticking = moving ? requestAnimationFrame((next) => this.tick(next)) : null
  }

  advance(passed) {
    let pace = this.live ? Math.max(this.film.end_s - this.now, 0) / 1.2 : this.speed
    if (this.live) pace = Math.max(pace, 0.2)
    this.owed = (this.owed ?? 0) + passed * pace
    if (this.calm && this.owed < CALM_STEP_S * Math.max(pace, 1)) return
    this.now = Math.min(this.now + this.owed, this.film.end_s)
    this.owed = 0
    if (this.now >= this.film.end_s && !this.live) this.play(false)
    const second = Math.floor((this.wall ?? 0) / 250)
    if (second !== this.said) { this.said = second; this.speak() }
  }

  draw(passed, before) {
    const pen = this.pen, frame = this.frame()
    const style = getComputedStyle(this.root)
    this.ink = style.color
    pen.clearRect(0, 0, this.canvas.width, this.boxes.height)
    this.drawRetries(frame)
    for (const station of this.film.stations) drawStation(pen, this.boxes[station.tier], station, frame, this.states(station.tier), this.ink)
    drawSink(pen, this.boxes.sink, this.film.done, frame, this.ink)
    this.drawTokens(passed, before, frame)
    this.drawFlights(passed)
    this.nameRetries(frame, style.getPropertyValue("--st-background-color") || "#ffffff")
    for (const { tier } of this.film.stations) drawTags(pen, this.boxes[tier], this.states(tier))
    drawGraves(pen, this.boxes, this.film.graves, frame, this.ink)
  }

  drawRetries(frame) {
    const { from, over, to } = this.boxes.arc
    const share = this.film.rates.retries[frame] / Math.max(this.film.rates.offered[frame] + this.film.rates.retries[frame], 1e-9)
    const pen = this.pen
    pen.strokeStyle = ORANGE
    pen.globalAlpha = 0.25 + 0.75 * share
    pen.lineWidth = 1 + 7 * share
    pen.setLineDash(share > 0 ? [] : [3, 4])
    pen.beginPath()
    pen.moveTo(...from)
    pen.quadraticCurveTo(...over, ...to)
    pen.stroke()
    pen.setLineDash([])
    pen.globalAlpha = 1
  }

  // Over whatever flies past it.
  nameRetries(frame, paper) {
    const pen = this.pen, words = `retries ${num(this.film.rates.retries[frame])}/s`
    pen.textAlign = this.boxes.vertical ? "right" : "center"
    pen.font = "13px sans-serif"
    pen.lineWidth = 4
    pen.lineJoin = "round"
    pen.strokeStyle = paper
    pen.strokeText(words, ...this.boxes.arc.label)
    pen.fillStyle = this.ink
    pen.fillText(words, ...this.boxes.arc.label)
  }

  drawTokens(passed, before, frame) {
    const tokens = this.tokens, now = this.now, ease = this.calm ? 1 : 1 - Math.exp(-passed / EASE_S)
    let shown = 0
    this.settled = true
    for (let i = 0; i < tokens.count; i++) {
      const stage = stageOf(tokens, i, now)
      if (this.playing && !this.calm) this.notice(i, before, now)
      const id = tokens.id[i]
      let spot = this.spots.get(id)
      if (stage < 0) { if (spot) this.spots.delete(id); continue }
      const done = stage > this.tiers.length - 1
      if (done && !spot) continue
      const target = this.spotIn(stage, id, frame)
      if (!spot) this.spots.set(id, (spot = this.playing && !this.calm ? this.spotIn(0, id, frame) : target.slice()))
      spot[0] += (target[0] - spot[0]) * ease
      spot[1] += (target[1] - spot[1]) * ease
      const far = Math.abs(target[0] - spot[0]) + Math.abs(target[1] - spot[1])
      if (done && far < 6) { this.spots.delete(id); continue }
      if (far > 0.5) this.settled = false
      drawToken(this.pen, spot, tokens.number[i] > 0, tokens.ended[i] <= now && !tokens.ok[i])
      shown++
    }
    this.root.dataset.tokens = shown
  }

  // A place inside a station's contents, always the same for the same token.
  spotIn(stage, id, frame) {
    const tier = this.tiers[stage]
    const box = tier ? this.boxes[tier] : this.boxes.sink
    const station = this.film.stations[stage]
    const level = station ? Math.max(station.fill[frame] ?? 0, 0.12) : 0.5
    const across = 0.08 + 0.84 * scatter(id), along = 0.06 + 0.88 * level * scatter(id + 7919)
    return this.boxes.vertical ? [box.x + box.w * along, box.y + box.h * across] : [box.x + box.w * across, box.y + box.h * (1 - along)]
  }

  // Ends that came between two pictures fly off: back along the retry arc, down to the graves, or home with an answer.
  notice(i, before, now) {
    const ended = this.tokens.ended[i]
    if (!(before < ended && ended <= now) || this.flights.length > 400) return
    const id = this.tokens.id[i]
    const spot = this.spots.get(id) ?? this.spotIn(Math.min(1, this.tiers.length - 1), id, 0)
    const kind = this.tokens.ok[i] ? "answer" : this.tokens.again[i] === Infinity ? "grave" : "retry"
    this.flights.push({ kind, x: spot[0], y: spot[1], age: 0, lane: scatter(id) })
  }

  drawFlights(passed) {
    const { arc, grave, client } = this.boxes
    const home = [client.x + client.w / 2, client.y + client.h / 2]
    for (const flight of this.flights) {
      flight.age += passed / FLIGHT_S
      const t = Math.min(flight.age, 1), start = [flight.x, flight.y]
      if (flight.kind === "retry") drawToken(this.pen, curve(start, arc.over, arc.to, t), true, false)
      else if (flight.kind === "answer") dot(this.pen, curve(start, this.boxes.under, home, t), 1.8, BLUE)
      else cross(this.pen, curve(start, start, [grave.x + grave.w * flight.lane, grave.y + 8], t * t), 3.5)
    }
    this.flights = this.flights.filter((flight) => flight.age < 1)
  }
}

function readTokens(film, tiers) {
  const count = film.sent.length
  const column = (name) => (film[name] ?? []).map((value) => (value === null ? Infinity : value))
  const left = tiers.slice(2).map((tier) => column(`left_${tier}`))
  return {
    count, left, every: film.every, id: film.request.map((request, i) => 64 * request + Math.min(film.number[i], 63)), number: film.number, ok: film.outcome.map((outcome) => outcome === "ok"),
    sent: column("sent"), admitted: column("admitted"), freed: column("freed"), ended: column("ended"), again: column("again"),
    produced: column("produced"), gone: column("gone"),
  }
}

// The number of the station a token is in; -1 when it is nowhere; one beyond the last when it is delivered.
function stageOf(tokens, i, now) {
  if (now < tokens.sent[i] || tokens.gone[i] <= now) return -1
  if (tokens.produced[i] <= now && tokens.left.length) {
    const place = tokens.left.findIndex((left) => now < left[i])
    return place < 0 ? tokens.left.length + 2 : place + 2
  }
  if (tokens.admitted[i] <= now) return now < tokens.freed[i] ? 1 : -1
  return now < tokens.ended[i] ? 0 : -1
}

function layOut(width, tiers) {
  const vertical = width < 640, boxes = { vertical }
  const places = tiers.length + 1
  const names = [...tiers, "sink"]
  if (vertical) {
    const left = 96, right = 44, row = 56
    names.forEach((name, i) => { boxes[name] = { x: left, y: 8 + i * row, w: width - left - right, h: 24 } })
    const end = width - right, first = boxes.client.y + 12, second = boxes[tiers[1]].y + 12
    boxes.arc = { from: [end, second], over: [end + 50, (first + second) / 2], to: [end, first], label: [end, first + 34] }
    boxes.under = [left - 20, (first + second) / 2]
    boxes.grave = { x: 8, y: 8 + places * row + 8, w: width - 16, h: 96 }
  } else {
    const gap = Math.max(14, width * 0.02), wide = (width - gap * (places - 1) - 8) / places
    names.forEach((name, i) => { boxes[name] = { x: 4 + i * (wide + gap), y: 84, w: wide, h: 130 } })
    const from = boxes[tiers[1]].x + wide / 2, to = boxes.client.x + wide / 2
    boxes.arc = { from: [from, 58], over: [(from + to) / 2, -8], to: [to, 58], label: [(from + to) / 2, 44] }
    boxes.under = [(from + to) / 2, 260]
    boxes.grave = { x: 4, y: 292, w: width - 8, h: 60 }
  }
  boxes.height = boxes.grave.y + boxes.grave.h
  return boxes
}

function stationWords(station, frame) {
  const blocked = station.blocked[frame], busy = station.busy[frame], count = station.records[frame]
  const what = station.tier === "client" || station.tier === "api" ? "req" : "rec"
  const amount = `${num(count)} ${what}`, bytes = size(station.bytes[frame])
  let state = ""
  if (blocked > 0.1) state = `blocked ${Math.round(100 * blocked)} %`
  else if (station.tier !== "client") state = `busy ${Math.round(100 * busy)} %`
  return { amount, bytes, state }
}

function drawStation(pen, box, station, frame, states, ink) {
  const fill = station.fill[frame] ?? 0, words = stationWords(station, frame), vertical = box.h < 60
  const dead = states.some((state) => state.kind === "down")
  pen.fillStyle = "rgba(140,140,150,0.14)"
  pen.fillRect(box.x, box.y, box.w, box.h)
  pen.fillStyle = heat(fill)
  if (vertical) pen.fillRect(box.x, box.y, box.w * fill, box.h)
  else pen.fillRect(box.x, box.y + box.h * (1 - fill), box.w, box.h * fill)
  if (station.blocked[frame] > 0.5) hatch(pen, box)
  pen.strokeStyle = dead || states.length ? RED : ink
  pen.lineWidth = states.length ? 3 : 1
  pen.setLineDash(station.bound === null && !vertical ? [5, 4] : [])
  pen.strokeRect(box.x, box.y, box.w, box.h)
  pen.setLineDash([])
  if (dead) { pen.lineWidth = 3; cross(pen, [box.x + box.w / 2, box.y + box.h / 2], Math.min(box.w, box.h) / 3) }
  label(pen, box, vertical, ink, NAMES[station.tier], [words.amount, words.bytes, words.state], states)
}

function label(pen, box, vertical, ink, name, lines, states) {
  pen.fillStyle = ink
  if (vertical) {
    pen.textAlign = "left"
    pen.font = "bold 13px sans-serif"
    pen.fillText(name, 4, box.y + 11)
    pen.font = "12px sans-serif"
    pen.fillText(lines[0], 4, box.y + 25)
    pen.fillText([...lines.slice(1), ...states.map((state) => state.words)].filter(Boolean).join(" · "), box.x, box.y + box.h + 14)
    return
  }
  const middle = box.x + box.w / 2
  pen.textAlign = "center"
  pen.font = "bold 14px sans-serif"
  pen.fillText(name, middle, box.y - 8)
  pen.font = "12.5px sans-serif"
  lines.forEach((line, i) => pen.fillText(line, middle, box.y + box.h + 17 + 16 * i, box.w + 12))
}

// What holds a station up, over its tokens; in the narrow layout it stands beneath.
function drawTags(pen, box, states) {
  if (box.h < 60) return
  pen.textAlign = "center"
  pen.font = "bold 12px sans-serif"
  states.slice(0, 2).forEach((state, i) => tag(pen, state.words, box.x + box.w / 2, box.y + 16 + 20 * i, box.w + 12))
}

function tag(pen, words, x, y, most) {
  const width = Math.min(pen.measureText(words).width + 10, most)
  pen.fillStyle = "#ffffff"
  pen.fillRect(x - width / 2, y - 12, width, 17)
  pen.fillStyle = "#a0101d"
  pen.fillText(words, x, y, most - 8)
}

function drawSink(pen, box, done, frame, ink) {
  pen.strokeStyle = ink
  pen.lineWidth = 1
  pen.fillStyle = "rgba(140,140,150,0.14)"
  pen.beginPath()
  if (pen.roundRect) pen.roundRect(box.x, box.y, box.w, box.h, Math.min(14, box.h / 2))
  else pen.rect(box.x, box.y, box.w, box.h)
  pen.fill()
  pen.stroke()
  const lines = [`${num(done.answered[frame])} answered`, `${num(done.delivered[frame])} stored`, ""]
  label(pen, box, box.h < 60, ink, "Database", box.h < 60 ? [`${num(done.delivered[frame])} rec`, lines[0], ""] : lines, [])
}

function drawGraves(pen, boxes, graves, frame, ink) {
  const { x, y, w, h } = boxes.grave
  pen.strokeStyle = "rgba(140,140,150,0.6)"
  pen.lineWidth = 1
  pen.strokeRect(x, y, w, h)
  pen.textAlign = "left"
  pen.font = "bold 13px sans-serif"
  pen.fillStyle = ink
  pen.fillText("Came to nothing", x + 8, y + 18)
  pen.font = "13px sans-serif"
  let right = x + 8, line = y + 38
  const dead = graves.filter((grave) => grave.count[frame] > 0)
  if (!dead.length) pen.fillText("nothing so far", right, line)
  for (const grave of dead) {
    const words = `× ${num(grave.count[frame])} ${grave.cause}`
    const width = pen.measureText(words).width
    if (right + width > x + w && right > x + 8) { right = x + 8; line += 17 }
    pen.fillText(words, right, line)
    right += width + 22
  }
}

function drawToken(pen, [x, y], again, nobody) {
  if (nobody) {
    pen.strokeStyle = GREY
    pen.lineWidth = 1.5
    pen.beginPath()
    pen.arc(x, y, 2.6, 0, 7)
    pen.stroke()
  } else if (again) {
    pen.fillStyle = ORANGE
    pen.beginPath()
    pen.moveTo(x, y - 4)
    pen.lineTo(x + 4, y)
    pen.lineTo(x, y + 4)
    pen.lineTo(x - 4, y)
    pen.fill()
  } else dot(pen, [x, y], 3, BLUE)
}

function dot(pen, [x, y], radius, colour) {
  pen.fillStyle = colour
  pen.beginPath()
  pen.arc(x, y, radius, 0, 7)
  pen.fill()
}

function cross(pen, [x, y], r) {
  pen.strokeStyle = RED
  pen.lineWidth = Math.max(2, r / 6)
  pen.beginPath()
  pen.moveTo(x - r, y - r)
  pen.lineTo(x + r, y + r)
  pen.moveTo(x + r, y - r)
  pen.lineTo(x - r, y + r)
  pen.stroke()
}

function hatch(pen, box) {
  pen.save()
  pen.beginPath()
  pen.rect(box.x, box.y, box.w, box.h)
  pen.clip()
  pen.strokeStyle = "rgba(34,36,42,0.55)"
  pen.lineWidth = 2
  pen.beginPath()
  for (let d = -box.h; d < box.w; d += 10) {
    pen.moveTo(box.x + d, box.y + box.h)
    pen.lineTo(box.x + d + box.h, box.y)
  }
  pen.stroke()
  pen.restore()
}

// From cividis's dark end to its bright one.
function heat(share) {
  const mix = (from, to) => [1, 3, 5].map((at) => {
    const a = parseInt(from.slice(at, at + 2), 16), b = parseInt(to.slice(at, at + 2), 16)
    return Math.round(a + (b - a) * share)
  })
  return `rgba(${mix(DEEP, BRIGHT).join(",")},0.55)`
}

function curve(a, b, c, t) {
  const u = 1 - t
  return [0, 1].map((k) => u * u * a[k] + 2 * u * t * b[k] + t * t * c[k])
}

// A number in [0, 1) that looks random and depends on i alone.
function scatter(i) {
  const wild = Math.sin(i * 12.9898) * 43758.5453
  return wild - Math.floor(wild)
}

function num(value) {
  if (value === null || value === undefined) return "–"
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toFixed(1)
}

function size(bytes) {
  for (const [unit, factor] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) if (bytes >= factor) return `${(bytes / factor).toPrecision(3)} ${unit}`
  return `${Math.round(bytes ?? 0)} B`
}
