// Every word of the page, in both languages.
export const WORDS = {
  en: {
    skip: "Skip to content", texts: "Texts", compare: "Compare", file: "File", words: "Texts, one a line",
    hint: "Paste news or posts here, one text a line", try: "Try", by: "Expert", router: "chosen by the router",
    why: "Show why", go: "Judge", working: "Reading …", one: "One text, two experts", left: "Left", right: "Right",
    versus: "Compare", drop: "Drop a file here, or choose one", column: "Text column", auto: "found by name",
    bom: "for Excel", send: "Answer every row", stop: "Stop", enter: "Go on", token: "This service asks for a token",
    wrong: "The token was refused; look at it again.",
    foot: "Nothing you type leaves the machine that runs this service.", bearish: "bearish", neutral: "neutral",
    bullish: "bullish", confidence: "confidence", expert: "expert", weights: "router's weights", uncertain: "uncertain",
    truncated: "too long: the network read only its start and end", strange: "unlike the texts that the model learnt from",
    pullsUp: "pulls to bullish", pullsDown: "pulls to bearish", curl: "Copy as curl", python: "Copy as Python",
    copied: "Copied", uncopied: "The browser does not let this page copy", nothing: "Type a text first.",
    gone: "The service cannot be reached.", language: "中文", theme: { light: "Light", dark: "Dark" },
    themeSay: "Switch between light and dark", languageSay: "切换到中文", download: "Download", stopped: "Stopped.",
    time: "Over time", tickers: "By ticker", all: "All rows", sending: "Sending …", others: "Other experts say: ",
    limits: (l) => `CSV, TSV, JSON lines, Parquet · up to ${Math.floor(l.max_file / 1048576)} MB, ${l.max_rows.toLocaleString("en")} rows`,
    answered: (n, ms) => `${n} ${n === 1 ? "text" : "texts"} · ${ms} ms`,
    rows: (n, of) => `${n.toLocaleString("en")} of ${of.toLocaleString("en")} rows`,
    done: (d) => `${d.answered.toLocaleString("en")} of ${d.rows.toLocaleString("en")} rows answered in ${d.seconds.toFixed(1)} s` +
      (d.refused ? ` · ${d.refused.toLocaleString("en")} could not be (column “refused”)` : ""),
    agree: "Both experts agree.", differ: "The experts disagree.", chose: (name) => `The router would ask ${name}.`,
    lines: (n, most) => `${n} lines; at most ${most} at once. Send them as a file.`,
    noWhy: (most) => `Why is shown for up to ${most} texts at once.`, unit: { day: "by day", week: "by week", month: "by month" },
    inNumbers: "In numbers", progress: "Rows answered", day: "day",
    endings: "This page takes CSV, TSV, JSON lines and Parquet; save a workbook as CSV first.",
    stale: "The file has changed since it was chosen; choose it again.", experts: {},
    problems: { other: (p) => p.detail },
  },
  zh: {
    skip: "跳到正文", texts: "文本", compare: "对比", file: "文件", words: "文本，一行一条", hint: "粘贴新闻或股吧帖子，一行一条", try: "试试",
    by: "专家", router: "由路由器选择", why: "显示理由", go: "判断", working: "正在阅读……", one: "一条文本，两个专家", left: "左",
    right: "右", versus: "对比", drop: "把文件拖到这里，或点此选择", column: "文本列", auto: "按列名查找", bom: "便于用 Excel 打开",
    send: "逐行判断", stop: "停止", enter: "继续", token: "本服务需要令牌", wrong: "令牌不正确，请检查后重新输入。", foot: "您输入的内容不会离开运行本服务的机器。",
    bearish: "利空", neutral: "中性", bullish: "利好", confidence: "置信度", expert: "专家", weights: "路由权重", uncertain: "不确定",
    truncated: "过长：网络只读首尾", strange: "与模型学过的文本不相像，请自行判断", pullsUp: "偏向利好", pullsDown: "偏向利空", curl: "复制 curl 命令",
    python: "复制 Python 代码", copied: "已复制", uncopied: "浏览器不允许本页复制", nothing: "请先输入文本。", gone: "连不上服务。",
    language: "English", theme: { light: "浅色", dark: "深色" }, themeSay: "切换浅色与深色", languageSay: "Switch to English",
    download: "下载结果", stopped: "已停止。", time: "随时间变化", tickers: "按股票", all: "全部", sending: "正在上传……", others: "其他专家认为：",
    limits: (l) => `CSV、TSV、JSON lines、Parquet · 至多 ${Math.floor(l.max_file / 1048576)} MB、${l.max_rows.toLocaleString("zh")} 行`,
    answered: (n, ms) => `${n} 条 · ${ms} 毫秒`, rows: (n, of) => `${n.toLocaleString("zh")} / ${of.toLocaleString("zh")} 行`,
    done: (d) => `共 ${d.rows.toLocaleString("zh")} 行，已判断 ${d.answered.toLocaleString("zh")} 行，用时 ${d.seconds.toFixed(1)} 秒` +
      (d.refused ? ` · ${d.refused.toLocaleString("zh")} 行无法判断（见 refused 列）` : ""),
    agree: "两个专家意见一致。", differ: "两个专家意见不同。", chose: (name) => `路由器会选择“${name}”专家。`,
    lines: (n, most) => `共 ${n} 行，一次至多 ${most} 行；请改用文件。`, noWhy: (most) => `一次至多为 ${most} 条显示理由。`,
    unit: { day: "按日", week: "按周", month: "按月" }, inNumbers: "查看数值", progress: "已判断的行", day: "日期",
    endings: "本页只接受 CSV、TSV、JSON lines 和 Parquet；Excel 请先另存为 CSV（UTF-8）。", stale: "文件在选择之后有改动，请重新选择。",
    experts: { news: "新闻", forum: "股吧" },
    problems: {
      other: (p) => p.detail && `服务的说明（英文）：${p.detail}`,
      column: (p) => `没有找到文本列。请在“文本列”里填写列名；第一行如果不是列名（例如上方有标题行），请先在文件里改好。文件中的列：${p.errors?.[1]?.detail}`,
      file: (p) => `这个文件无法使用。服务的说明（英文）：${p.detail}`,
      rows: () => "行数超过上限，请拆成几个文件。", "too-large": () => "内容超过大小上限，请拆成几份。",
      "no-parquet": () => "本服务没有安装读取 Parquet 的组件，请改用 CSV。", "no-file": () => "结果已过期，请重新发送文件。",
      files: () => "正在处理的文件已达上限，请稍后再试。", full: () => "服务正忙，请稍后再试。", deadline: () => "未能按时回答，请稍后再试。",
      "too-many": () => "同一地址同时发出的请求过多，请稍后再试。", long: (p) => `${nth(p)}超过字数上限，请缩短。`, empty: (p) => `${nth(p)}没有可读的内容。`,
      domain: () => "模型没有这个专家。", token: () => "本服务需要令牌。", fault: () => "服务处理本次请求时出错，原因见服务的日志。",
      storage: () => "服务的磁盘无法写入（可能已满），请稍后重新发送，或拆成几份。", slow: () => "发送过慢或中断过久，请重新发送。",
      invalid: (p) => `请求不合要求。服务的说明（英文）：${p.detail}`, count: () => "一次发送的文本条数超过上限，请减少后再试。",
      "no-explain": () => "本服务没有安装生成理由的组件，请取消勾选“显示理由”。",
      away: () => "暂时连不上服务，请稍后再试。", late: () => "服务未能及时答复，请稍后再试。",
      head: () => "请求头过长。", connections: () => "服务的连接数已达上限，请稍后再试。",
      host: () => "本服务没有设置令牌，只接受用 localhost 或本机回环地址的访问。", origin: () => "本服务不接受其他网站的页面发来的请求。",
    },
  },
};

function nth(problem) {
  const found = /^\/texts\/(\d+)/.exec(problem.errors?.[0]?.pointer);
  return found ? `第 ${Number(found[1]) + 1} 条文本` : "有的文本";
}

export const SAMPLES = [
  "放量突破前高，拿稳了，这波行情才刚开始！",
  "北屿医药因信息披露违规被立案调查，股价开盘跌停",
  "主力又在砸盘，套了半年了，真想割肉走人",
  "公司拟于下周三召开临时股东大会，审议董事会换届事项",
];

let language = localStorage.getItem("finsa-language") || (navigator.language.startsWith("zh") ? "zh" : "en");
export const spoken = () => language;
export const say = (key) => WORDS[language][key];
// What an expert is called: by its own name, but for the two of the default model in Chinese.
export const called = (name) => (Object.hasOwn(WORDS[language].experts, name) ? WORDS[language].experts[name] : name);
// What a problem says: in the reader's language where its kind is known, else as the service puts it.
export function told(problem) {
  const said = WORDS[language].problems, kind = problem.type?.split(":").pop();
  return (Object.hasOwn(said, kind) ? said[kind] : said.other)(problem);
}
export function speak(chosen) {
  language = chosen;
  localStorage.setItem("finsa-language", chosen);
}
