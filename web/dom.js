// @ts-check
/** Small helpers for the DOM. */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} [children]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, attributes = {}, children = []) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new (...args: any[]) => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`index.html has no ${type.name} #${id}`);
  return element;
}

/** Text that only a screen reader says. @param {string} text */
export const unseen = (text) => make('span', { class: 'hidden' }, [text]);

/** Writing what is there already would make screen readers say it again. @param {Element} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Keep children in step with a list, touching only what changed.
 * @template T
 */
export class KeyedList {
  /** @param {HTMLElement} parent @param {(item: T) => string} key @param {(item: T) => HTMLElement} build */
  constructor(parent, key, build) {
    this.parent = parent;
    this.key = key;
    this.build = build;
    /** @type {Map<string, {item: T, node: HTMLElement}>} */
    this.shown = new Map();
  }

  /** @param {readonly T[]} items */
  render(items) {
    const keys = new Set(items.map(this.key));
    for (const [key, { node }] of this.shown) {
      if (keys.has(key)) continue;
      node.remove();
      this.shown.delete(key);
    }
    items.forEach((item, index) => {
      const node = this.node(item);
      const there = this.parent.children[index];
      if (there !== node) this.parent.insertBefore(node, there ?? null);
    });
  }

  /** @param {T} item */
  node(item) {
    const key = this.key(item);
    const old = this.shown.get(key);
    if (old?.item === item) return old.node;
    const node = this.build(item);
    if (old) old.node.replaceWith(node);
    this.shown.set(key, { item, node });
    return node;
  }
}
