"""The style sheet of the HTML report."""

from __future__ import annotations

#: Colours are named by what they say; signs say the same, for eyes and printers without colour.
STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #fff; --ink: #1b2430; --soft: #566273; --line: #dde2e9;
  --code: #f0f2f6;
  --pass: #157042; --pass-bg: #e3f4ea; --fail: #c0271f; --fail-bg: #fdeae8;
  --fail-fill: #c0271f; --error-fill: #7a3cc0;
  --error: #7a3cc0; --error-bg: #f2eafb; --warned: #935100; --warned-bg: #fdf1de;
  --bypassed: #935100; --bypassed-bg: #fdf1de; --na: #566273; --na-bg: #eceff3;
  --init: #b9c6d8; --run: #9cc3ee; --compl: #c4b2ec; --term: #9fd6b5; --failed: #f0aaa4;
  --blue: #2667b8; --teal: #0d7f86; --gold: #8a5a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1a2028; --ink: #e4e9f0; --soft: #9daabb; --line: #2f3945;
    --code: #232b36;
    --pass: #5fd394; --pass-bg: #15372a; --fail: #ff8a80; --fail-bg: #3f1f1e;
    --fail-fill: #c8443b; --error-fill: #8450c4;
    --error: #c9a2ff; --error-bg: #33254b; --warned: #ffbe66; --warned-bg: #40300f;
    --bypassed: #ffbe66; --bypassed-bg: #40300f; --na: #9daabb; --na-bg: #29323d;
    --init: #3d4c61; --run: #28527f; --compl: #4c3d7c; --term: #22573c; --failed: #762f2a;
    --blue: #76b1f5; --teal: #54c8cf; --gold: #f0b84a;
  }
}
.v-pass { --tone: var(--pass); --tone-bg: var(--pass-bg); --fill: #1a7f4b }
.v-fail { --tone: var(--fail); --tone-bg: var(--fail-bg); --fill: var(--fail-fill) }
.v-error { --tone: var(--error); --tone-bg: var(--error-bg); --fill: var(--error-fill) }
.v-warned { --tone: var(--warned); --tone-bg: var(--warned-bg) }
.v-bypassed { --tone: var(--bypassed); --tone-bg: var(--bypassed-bg) }
.v-na { --tone: var(--na); --tone-bg: var(--na-bg) }

* { box-sizing: border-box }
body {
  margin: 0 auto; padding: 1.5rem clamp(.75rem, 3vw, 2.5rem) 3rem; max-width: 76rem;
  background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans",
    sans-serif;
}
code, pre, .log, .strip text { font-family: ui-monospace, SFMono-Regular, Menlo, "Cascadia Mono",
  "Noto Sans Mono", "DejaVu Sans Mono", monospace }
code { font-size: .88em; overflow-wrap: anywhere }
h1 { margin: .1rem 0 .3rem; font-size: clamp(1.45rem, 4vw, 2.1rem); line-height: 1.15;
  overflow-wrap: anywhere }
h1 em { font-style: normal; color: var(--tone) }
h2 { margin: 2.2rem 0 .6rem; font-size: 1.2rem }
h3 { margin: 0; font-size: .95rem; font-weight: 600 }
p { margin: .3rem 0 }
a { color: inherit }
:focus-visible { outline: 3px solid var(--blue); outline-offset: 2px }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap }

.verdict { display: flex; gap: 1.2rem; align-items: center; padding: 1.3rem 1.5rem;
  border-radius: 14px; background: var(--tone-bg); border: 1px solid var(--tone) }
.big { flex: none; display: grid; place-items: center; width: 4.2rem; height: 4.2rem;
  border-radius: 50%; background: var(--fill, var(--tone)); color: #fff; font-size: 2.4rem;
  font-weight: 700; line-height: 1 }
.kicker { color: var(--soft); font-size: .85rem; margin: 0 }
.verdict p:last-child { margin: 0 }
.bar { display: flex; gap: 3px; margin: .9rem 0; font-size: .85rem; font-weight: 600 }
.bar span { flex-basis: 3rem; flex-shrink: 1; padding: .25rem .5rem; border-radius: 6px;
  background: var(--tone-bg); color: var(--tone); border-bottom: 3px solid var(--tone);
  white-space: nowrap; overflow: hidden }
.facts { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 0 }
.facts dt, dl dt { color: var(--soft); font-size: .8rem }
.facts dd, dl dd { margin: 0 }
.again { flex: 1 1 24rem; min-width: 0 }

.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; color: var(--soft); font-size: .85rem }
.legend i { font-style: normal }
.badge { display: inline-grid; place-items: center; width: 1.5rem; height: 1.5rem; flex: none;
  border-radius: 6px; background: var(--tone-bg); color: var(--tone); font-weight: 700 }
.matrix { padding: .4rem 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 12px }
.section { display: grid; grid-template-columns: 7rem 1fr; align-items: center; gap: .6rem;
  padding: .5rem 0 }
.section + .section { border-top: 1px solid var(--line) }
.section ul { display: flex; flex-wrap: wrap; gap: 6px; margin: 0; padding: 0; list-style: none }
.cell { display: grid; place-items: center; width: 3rem; height: 2.7rem; border-radius: 8px;
  background: var(--tone-bg); color: var(--tone); border: 1.5px solid var(--tone);
  text-decoration: none; line-height: 1.05 }
.cell.l-should { border-style: dashed }
.cell.v-pass, .cell.v-na { border-color: transparent }
.cell.v-pass.l-should, .cell.v-na.l-should { border-color: var(--tone) }
.cell.v-fail, .cell.v-error { background: var(--fill); color: #fff; border-color: var(--fill) }
.cell:hover { outline: 2px solid var(--tone); outline-offset: 1px }
.cell .sign { font-weight: 700; font-size: 1.05rem }
.cell .of { font-size: .72rem }

.filters { display: flex; flex-wrap: wrap; gap: .6rem 1.4rem; margin-bottom: .9rem }
fieldset { display: flex; flex-wrap: wrap; gap: .35rem; min-width: 0; margin: 0; padding: 0;
  border: 0 }
fieldset legend { padding: 0; margin-bottom: .2rem; color: var(--soft); font-size: .8rem }
label { position: relative; cursor: pointer }
label input { position: absolute; opacity: 0; inset: 0; margin: 0; cursor: pointer }
label span { display: block; padding: .22rem .75rem; border-radius: 99px; font-size: .88rem;
  background: var(--card); border: 1px solid var(--line) }
label:hover span { border-color: var(--soft) }
label input:checked + span { background: var(--ink); color: var(--page); border-color: var(--ink) }
label input:focus-visible + span { outline: 3px solid var(--blue); outline-offset: 2px }
.nothing { display: none; color: var(--soft) }

.card { margin: .45rem 0; background: var(--card); border: 1px solid var(--line);
  border-left: 4px solid var(--tone); border-radius: 8px }
.card dl { scroll-margin-top: 6rem }
.card:has(:target) { outline: 2px solid var(--tone); outline-offset: 2px }
.card > details > :not(summary) { margin-left: 1rem; margin-right: 1rem }
summary { cursor: pointer }
.card > details > summary { display: grid; grid-template-columns: auto 15.5rem 1fr auto;
  gap: .2rem .8rem; align-items: baseline; padding: .55rem .9rem; list-style: none }
.card > details > summary::-webkit-details-marker { display: none }
.card > details > summary:hover .rule { text-decoration: underline;
  text-decoration-color: var(--line); text-underline-offset: 3px }
.id { font-weight: 600 }
.meta { color: var(--soft); font-size: .82rem; text-align: right; white-space: nowrap }
.card dl { display: grid; grid-template-columns: 8rem 1fr; gap: .25rem 1rem;
  margin: .4rem 0 .9rem; align-items: baseline }
.told { padding: .2rem 0 .9rem }
.told + .told { border-top: 1px solid var(--line); padding-top: .9rem }
.seen { padding: .6rem .9rem; border-radius: 8px; background: var(--tone-bg); color: var(--ink);
  font-weight: 600; overflow-wrap: anywhere; white-space: pre-wrap }
pre { margin: .6rem 0; padding: .7rem .9rem; max-height: 22rem; overflow: auto; font-size: .84rem;
  line-height: 1.45; background: var(--code); border-radius: 8px; white-space: pre-wrap;
  overflow-wrap: anywhere }
.run { margin: .6rem 0; border: 1px solid var(--line); border-radius: 8px; padding: .5rem .8rem }
.run > summary { font-size: .9rem }
.run details > summary { color: var(--soft); font-size: .85rem; margin-top: .5rem }
.scroll { overflow-x: auto; margin-top: .7rem }
.log { max-height: 21rem; overflow: auto; font-size: .8rem; border: 1px solid var(--line);
  border-radius: 6px }
table { width: 100%; border-collapse: collapse }
th { text-align: left; font-weight: 600; color: var(--soft) }
thead th { position: sticky; top: 0; background: var(--code) }
td, th { padding: .16rem .6rem; vertical-align: top }
td:last-child { overflow-wrap: anywhere; width: 100% }
th { white-space: nowrap }
tbody tr + tr { border-top: 1px solid var(--line) }
.number { text-align: right; white-space: nowrap; color: var(--soft) }
.kind { white-space: nowrap }
.body { display: block; color: var(--soft); font-size: .95em }
.gap { color: var(--soft) }
.e-signal { background: var(--warned-bg) }
.e-state { background: var(--code); font-weight: 600 }
.e-exit { background: var(--na-bg); font-weight: 600 }

.strip { display: block; width: 100%; min-width: 52rem; height: auto }
.strip text { font-size: 11px; fill: var(--ink) }
.strip .lane, .strip .tick { fill: var(--soft) }
.grid, .rule { stroke: var(--line); stroke-width: 1 }
.s-initializing { fill: var(--init) } .s-running { fill: var(--run) }
.s-completing { fill: var(--compl) } .s-terminated { fill: var(--term) }
.s-failed { fill: var(--failed) } .s-state { fill: var(--init) } .s-bus { fill: var(--warned-bg) }
.k-signal { fill: var(--fail); color: var(--fail) }
.strip .name { fill: var(--fail); font-weight: 700 }
.m-heartbeat { fill: var(--blue); color: var(--blue) }
.m-progress { fill: var(--teal); color: var(--teal) }
.m-status { fill: var(--fail); color: var(--fail) }
.m-event { fill: var(--gold); color: var(--gold) }
.m-other { fill: var(--soft) }
.k-file { fill: var(--soft); color: var(--soft) } .k-manifest { fill: var(--pass);
  color: var(--pass) }
.k-stdout { stroke: var(--teal); stroke-width: 2 }
.k-stderr { stroke: var(--gold); stroke-width: 2; color: var(--gold) }
.end { stroke: var(--ink); stroke-width: 2; color: var(--ink) }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .85rem }

@media (max-width: 50rem) {
  .card > details > summary { grid-template-columns: auto 1fr }
  .rule, .meta { grid-column: 2; text-align: left }
  .meta { white-space: normal }
  .section { grid-template-columns: 1fr }
  .card dl { grid-template-columns: 1fr; gap: 0 }
  .card dd { margin-bottom: .5rem }
  .card > details > :not(summary) { margin-left: .7rem; margin-right: .7rem }
  .verdict { padding: 1rem; gap: .9rem }
  .big { width: 3rem; height: 3rem; font-size: 1.7rem }
}
@media print {
  body { background: none; max-width: none; font-size: 11px }
  .filters { display: none }
  pre, .log { max-height: none; overflow: visible }
  .card { break-inside: avoid-page }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact }
}
""".strip()
