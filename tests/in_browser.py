"""What a test asks a page in the browser: scripts that look at all of it."""

# For each visible text: how far it stands out from what is painted below it (WCAG 2.2, contrast ratio).
CONTRASTS = """() => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const colour = (name) => {
        pen.clearRect(0, 0, 1, 1);
        pen.fillStyle = name;
        pen.fillRect(0, 0, 1, 1);
        return [...pen.getImageData(0, 0, 1, 1).data].map((part) => part / 255);
    };
    const over = ([r, g, b, a], below) => [r, g, b].map((part, at) => a * part + (1 - a) * below[at]);
    const ground = (element) => element
        ? over(colour(getComputedStyle(element).backgroundColor), ground(element.parentElement)) : [1, 1, 1];
    const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const found = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode.data, element = texts.currentNode.parentElement;
        if (!text.trim() || !element.checkVisibility() || element.closest(".unseen, option, script")) continue;
        const style = getComputedStyle(element), below = ground(element);
        const ink = colour(element.closest("svg") ? style.fill : style.color);
        const [dark, light] = [luminance(over(ink, below)), luminance(below)].sort((one, other) => one - other);
        found.push({ text, contrast: (light + 0.05) / (dark + 0.05) });
    }
    return found;
}"""

# What a control is called: by itself, or by the label around it.
CONTROL_NAMES = """all => all.map(
    (one) => one.getAttribute("aria-label") || one.innerText || one.textContent || one.labels?.[0]?.textContent || ""
)"""

# What would have to be scrolled to be read.
SCROLLED = """(all) => all.filter((one) => {
    const turns = ["auto", "scroll", "hidden"].includes(getComputedStyle(one).overflowY);
    return turns && one.clientHeight > 1 && one.scrollHeight > one.clientHeight + 1;
}).map((one) => one.id || one.className || one.localName)"""
