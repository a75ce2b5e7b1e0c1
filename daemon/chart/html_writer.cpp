#include "daemon/chart/html_writer.h"

#include <fmt/format.h>

#include "daemon/chart/chart_text.h"
#include "daemon/chart/svg_writer.h"

namespace muster::chart {
namespace {

// A page of every row of a machine with thousands of devices would be slow to open; the picture
// above shows them all together.
constexpr std::size_t kAllRows = 200;  // in each section

constexpr const char* kPageStyle = R"CSS(
:root{color-scheme:light dark}
body{margin:0;background:#fff;color:#1b1f24;font:13px system-ui,"Segoe UI","DejaVu Sans",Roboto,sans-serif}
main{max-width:1320px;margin:0 auto;padding:18px 12px 60px}
header{padding:0 20px}
h1{font-size:20px;margin:0 0 2px}
header p{margin:2px 0}
.muted{color:#57606a;font-size:12px}
.why1{font-size:15px;font-weight:600;color:#b33a00;margin-top:10px}
.tools{position:sticky;top:0;z-index:2;background:inherit;padding:8px 20px;display:flex;gap:8px;align-items:center;background:#fff;flex-wrap:wrap}
input,button{font:inherit;padding:3px 9px;border:1px solid #b4bcc5;border-radius:5px;background:#fff;color:inherit}
button{cursor:pointer;min-width:30px}
svg.chart{width:100%;height:auto;display:block;user-select:none}
svg.legend{width:100%;height:auto;display:block}
svg.hover .b:not(.on){opacity:.22}
svg.hover .on rect{stroke:#1b1f24;stroke-width:1.4px}
.off{display:none}
#tip{position:fixed;z-index:9;pointer-events:none;max-width:560px;white-space:pre-wrap;overflow-wrap:anywhere;background:#1b1f24;color:#f0f3f6;font-size:12px;line-height:1.4;padding:7px 10px;border-radius:6px;display:none}
details{margin:14px 20px}
summary{cursor:pointer;font-weight:600}
table{border-collapse:collapse;margin:8px 0}
td,th{padding:2px 14px 2px 0;text-align:left}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
@media (prefers-color-scheme:dark){
body,.tools{background:#0d1117;color:#e6edf3}
input,button{background:#1b222b;border-color:#414a54}
.muted{color:#9aa5b1}
.why1{color:#ff9257}
#tip{background:#e6edf3;color:#0d1117}
svg.hover .on rect{stroke:#fff}
}
)CSS";

constexpr const char* kScript = R"JS(
'use strict';
(() => {
const tip = document.getElementById('tip');
const charts = [...document.querySelectorAll('svg.chart')].map(svg => {
  const number = (e, name) => parseFloat(e.getAttribute(name));
  const left = number(svg, 'data-left'), width = number(svg, 'data-width');
  const view = {svg, width, left, zoom: 1, pan: 0, bars: new Map(), moved: []};
  const clip = document.createElementNS('http://www.w3.org/2000/svg', 'clipPath');
  const id = 'clip' + Math.random().toString(36).slice(2);
  clip.id = id;
  const box = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
  for (const [k, v] of Object.entries({x: -7, y: -40, width: width + 14, height: 1e6})) box.setAttribute(k, v);
  clip.append(box);
  svg.prepend(clip);
  for (const plot of svg.querySelectorAll('.plot')) {
    plot.setAttribute('clip-path', 'url(#' + id + ')');
    for (const e of plot.querySelectorAll('.b rect')) {
      const text = e.parentNode.querySelector('text.l');
      view.moved.push({e, text, x: number(e, 'x'), w: number(e, 'width'), tx: text ? number(text, 'x') : 0});
    }
    for (const e of plot.querySelectorAll('[data-x]')) view.moved.push({e, x: number(e, 'data-x'), y: number(e, 'data-y')});
    for (const e of plot.querySelectorAll('line')) view.moved.push({e, x1: number(e, 'x1'), x2: number(e, 'x2')});
    for (const e of plot.querySelectorAll('text.tick')) view.moved.push({e, t: number(e, 'x')});
  }
  for (const e of svg.querySelectorAll('.b')) view.bars.set(e.dataset.i, e);
  view.lines = [...svg.querySelectorAll('.path')];
  view.blocks = [...svg.querySelectorAll('.sec,.row')].map(e => ({e, h: parseFloat(e.dataset.h), f: (e.dataset.f || '').toLowerCase(), head: e.classList.contains('sec')}));
  view.top = number(svg, 'data-top');
  view.height = svg.viewBox.baseVal.height;
  return view;
});
function place(view) {
  const at = x => (x - view.pan) * view.zoom;
  for (const m of view.moved) {
    if ('w' in m) {
      const w = Math.max(2, m.w * view.zoom), x = at(m.x);
      m.e.setAttribute('x', x);
      m.e.setAttribute('width', w);
      if (m.text) m.text.setAttribute('x', m.tx < m.x ? x - 5 : m.tx >= m.x + m.w ? x + w + 4 : Math.max(x + 4, Math.min(4, x + w - 40)));
    } else if ('y' in m) m.e.setAttribute('transform', `translate(${at(m.x)} ${m.y})`);
    else if ('t' in m) m.e.setAttribute('x', at(m.t));
    else { m.e.setAttribute('x1', at(m.x1)); m.e.setAttribute('x2', at(m.x2)); }
  }
}
function zoom(view, factor, x) {
  const next = Math.min(400, Math.max(1, view.zoom * factor)), fixed = view.pan + x / view.zoom;
  view.zoom = next;
  view.pan = Math.min(Math.max(0, fixed - x / next), view.width - view.width / next);
  place(view);
}
function inside(view, event) {
  const box = view.svg.getBoundingClientRect();
  return (event.clientX - box.left) * view.svg.viewBox.baseVal.width / box.width - view.left;
}
function filter(words) {
  for (const view of charts) {
    let y = view.top, head = null;
    const middle = new Map();
    for (const b of view.blocks) {
      if (b.head) { b.e.classList.add('off'); head = b; continue; }
      const hit = words.every(w => b.f.includes(w));
      b.e.classList.toggle('off', !hit);
      if (!hit) continue;
      if (head) { y += 4; head.e.classList.remove('off'); head.e.setAttribute('transform', `translate(0 ${y})`); y += head.h - 4; head = null; }
      b.e.setAttribute('transform', `translate(0 ${y})`);
      for (const e of b.e.querySelectorAll('.b')) middle.set(e.dataset.i, y + b.h / 2);
      y += b.h;
    }
    const box = view.svg.viewBox.baseVal;
    box.height = words.length ? y + 10 : view.height;
    view.svg.setAttribute('height', box.height);
    for (const line of view.lines) {
      const a = middle.get(line.dataset.a), b = middle.get(line.dataset.b);
      line.classList.toggle('off', a === undefined || b === undefined);
      if (a !== undefined && b !== undefined) { line.setAttribute('y1', a); line.setAttribute('y2', b); }
    }
  }
}
function chain(view, bar) {
  const seen = new Set();
  for (let e = bar; e && !seen.has(e); e = view.bars.get(e.dataset.by)) seen.add(e);
  return seen;
}
for (const view of charts) {
  view.svg.addEventListener('mouseover', event => {
    const bar = event.target.closest('.b');
    for (const e of view.svg.querySelectorAll('.on')) e.classList.remove('on');
    view.svg.classList.toggle('hover', !!bar);
    tip.style.display = bar ? 'block' : 'none';
    if (!bar) return;
    tip.textContent = bar.dataset.t;
    for (const e of chain(view, bar)) e.classList.add('on');
  });
  view.svg.addEventListener('mousemove', event => {
    tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + 'px';
    tip.style.top = (event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : event.clientY + 18) + 'px';
  });
  view.svg.addEventListener('mouseleave', () => {
    tip.style.display = 'none';
    view.svg.classList.remove('hover');
  });
  view.svg.addEventListener('wheel', event => {
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    zoom(view, (event.deltaY || event.deltaX) < 0 ? 1.25 : 0.8, inside(view, event));
  }, {passive: false});
  let drag = null;
  view.svg.addEventListener('pointerdown', event => { drag = {x: inside(view, event), pan: view.pan}; });
  addEventListener('pointerup', () => { drag = null; });
  view.svg.addEventListener('pointermove', event => {
    if (!drag || view.zoom === 1) return;
    view.pan = Math.min(Math.max(0, drag.pan - (inside(view, event) - drag.x) / view.zoom), view.width - view.width / view.zoom);
    place(view);
  });
}
const all = (factor) => charts.forEach(view => zoom(view, factor, view.width / 2));
document.getElementById('in').onclick = () => all(1.6);
document.getElementById('out').onclick = () => all(1 / 1.6);
document.getElementById('reset').onclick = () => charts.forEach(view => { view.zoom = 1; view.pan = 0; place(view); });
document.getElementById('filter').oninput = event => filter(event.target.value.toLowerCase().split(/\s+/).filter(Boolean));
})();
)JS";

}  // namespace

std::string to_html(const Chart& few, const Chart& all) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
      "<title>{}</title>\n<style>{}{}</style></head><body><main>\n",
      xml(few.title), svg_style(), kPageStyle);
  out +=
      fmt::format("<header><h1>{}</h1><p class=\"muted\">{}</p><p class=\"why1\">{}</p><p>{}</p>",
                  xml(few.title), xml(few.subtitle), xml(few.verdict), xml(few.breakdown));
  for (const auto& note : few.notes) {
    out += fmt::format("<p class=\"muted\">{}</p>", xml(note));
  }
  out +=
      "</header>\n<svg class=\"legend\" xmlns=\"http://www.w3.org/2000/svg\" "
      "viewBox=\"0 0 1280 26\">" +
      svg_legend(few, 20, 18) + "</svg>\n";
  out +=
      "<div class=\"tools\"><input id=\"filter\" type=\"search\" placeholder=\"filter rows: sda, "
      "md0, raid …\" size=\"28\" aria-label=\"filter rows\"><button id=\"in\" title=\"zoom "
      "in\">+</button><button id=\"out\" title=\"zoom out\">−</button><button "
      "id=\"reset\">whole boot</button><span class=\"muted\">Ctrl + wheel zooms, drag moves; point "
      "at a bar: what led to it</span></div>\n";
  out += svg_drawing(few);
  out +=
      "<details><summary>The critical path, step by step</summary><table><tr><th "
      "class=\"n\">at</th><th class=\"n\">for</th><th>what</th></tr>\n";
  for (const auto& hop : few.path) {
    out += fmt::format("<tr><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>\n",
                       exact_text(hop.start), seconds_text(hop.end - hop.start), xml(hop.text));
  }
  out += "</table></details>\n";
  const auto every = condensed(all, kAllRows);
  if (every.rows.size() > few.rows.size()) {
    out += fmt::format("<details><summary>Every row ({})</summary>\n{}</details>\n",
                       every.rows.size(), svg_drawing(every));
  }
  out += fmt::format("<div id=\"tip\"></div></main><script>{}</script></body></html>\n", kScript);
  return out;
}

}  // namespace muster::chart
