"""The look of a card: light and dark by what the reader prefers, and fit to print."""

STYLE = """
:root{color-scheme:light dark;--page:#f5f6f8;--paper:#fff;--ink:#1b2430;--soft:#5a6675;--rule:#e2e6ec;
--accent:#2f6f8f;--tint:#e9f2f6;--wrong:#b4552d;--code:#eef1f5;--on:#fff}
@media (prefers-color-scheme:dark){:root{--page:#0f141a;--paper:#171e26;--ink:#e6ebf1;--soft:#9aa7b5;
--rule:#2a343f;--accent:#6fb6d6;--tint:#1c2b35;--wrong:#e08a5f;--code:#212a34;--on:#0f141a}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.6 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:60rem;margin:2rem auto;padding:0 1rem}
article{background:var(--paper);border:1px solid var(--rule);border-radius:14px;padding:2.5rem 3rem 3rem}
header p{color:var(--soft);margin:.35rem 0 0;max-width:46rem}
.kind{font-size:.78rem;letter-spacing:.09em;text-transform:uppercase;color:var(--accent);font-weight:600;margin:0}
h1{font-size:2.1rem;line-height:1.2;margin:.2rem 0 0;letter-spacing:-.015em;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.4rem 0 .7rem;letter-spacing:-.01em}
h3{font-size:1rem;margin:1.6rem 0 .3rem}
p{margin:.5rem 0}
p,li{overflow-wrap:anywhere}
ul{padding-left:1.15rem;margin:.4rem 0}
li{margin:.35rem 0;padding-left:.15rem}
li::marker{color:var(--accent)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr));gap:.8rem;margin:1.6rem 0 0;
padding:0}
.figures div{background:var(--tint);border-radius:10px;padding:.9rem 1.1rem}
.figures dt{font-size:.82rem;color:var(--soft)}
.figures dd{margin:0;line-height:1.35}
.figures .value{font-size:1.6rem;font-weight:650;line-height:1.35;font-variant-numeric:tabular-nums}
.figures .note{font-size:.82rem;color:var(--soft)}
.divide{margin:3rem 0 0;border-top:1px solid var(--rule);padding-top:1.5rem}
.divide p{color:var(--soft);margin:0}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.88em}
code{background:var(--code);border-radius:4px;padding:.1em .35em;overflow-wrap:anywhere}
pre{background:var(--code);border-radius:8px;padding:.9rem 1.1rem;overflow-x:auto;line-height:1.5}
pre code{background:none;padding:0}
.scroll{overflow-x:auto;margin:.6rem 0}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;padding:.42rem .9rem .42rem 0;border-bottom:1px solid var(--rule);vertical-align:top}
th{color:var(--soft);font-weight:600;font-size:.82rem;white-space:nowrap}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
th:last-child,td:last-child{padding-right:0}
figure{margin:.8rem 0 1.2rem}
figcaption{color:var(--soft);font-size:.9rem;max-width:44rem}
figure svg{display:block;max-width:100%;height:auto;margin:.9rem 0 .3rem}
details{margin:.4rem 0}
summary{cursor:pointer;color:var(--accent);font-size:.88rem}
svg text{font:12px ui-sans-serif,system-ui,sans-serif;fill:var(--soft)}
svg .tick{font-variant-numeric:tabular-nums}
.bars{display:grid;grid-template-columns:minmax(5rem,max-content) 1fr max-content;gap:.45rem .8rem;
align-items:center;margin:.9rem 0 .4rem;font-size:.9rem}
.bars .label{text-align:right;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;max-width:14rem}
.bars .value{color:var(--soft);font-variant-numeric:tabular-nums}
.bars svg{display:block;width:100%;height:.85rem;margin:0;border-radius:3px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));
gap:0 2.5rem;align-items:start}
svg .track{fill:var(--tint)}
svg .bar,svg .dot{fill:var(--accent)}
svg .grid{stroke:var(--rule)}
svg .ideal{stroke:var(--soft);stroke-dasharray:4 4}
svg .line{fill:none;stroke:var(--accent);stroke-width:2}
svg .whisker{stroke:var(--accent);stroke-width:1.5;opacity:.55}
svg .right{fill:var(--accent)}
svg .wrong{fill:var(--wrong)}
svg .cell{fill:var(--ink);font-size:13px}
svg .on{fill:var(--on)}
@media (max-width:40rem){main{margin:0;padding:0}article{border:0;border-radius:0;padding:1.4rem 1.1rem 2rem}
h1{font-size:1.6rem}.bars .label{max-width:8.5rem}
.figures{grid-template-columns:1fr 1fr}.figures .value{font-size:1.3rem}}
@media print{:root{--page:#fff;--paper:#fff;--ink:#000;--soft:#444;--rule:#ccc;--tint:#f1f4f6;--code:#f3f3f3;
--accent:#2f6f8f;--wrong:#b4552d;--on:#fff}body{font-size:10.5pt}main{margin:0;max-width:none;padding:0}
article{border:0;padding:0}figure,.figures div,tr,pre{break-inside:avoid}h2,h3{break-after:avoid}
.divide{break-before:page}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""
