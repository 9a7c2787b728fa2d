// @ts-check
/** A link, and its QR code, by which another device comes into this conversation. */
import { byId, setText } from './dom.js';

/** @typedef {{href: string, code: string, minutes: number}} Link `code`: an SVG */

export class LinkView {
  /** @param {() => Promise<Link>} ask rejects with what is wrong */
  constructor(ask) {
    this.ask = ask;
    this.button = byId('elsewhere', HTMLButtonElement);
    this.place = byId('link', HTMLElement);
    this.code = byId('link-code', HTMLImageElement);
    this.anchor = byId('link-anchor', HTMLAnchorElement);
    this.says = byId('link-says', HTMLElement);
    this.button.addEventListener('click', () => void this.open());
  }

  /** @param {boolean} connected only then is there a conversation to go on with */
  render(connected) {
    this.button.disabled = !connected;
    if (!connected) this.close();
  }

  async open() {
    this.button.disabled = true;
    try {
      const { href, code, minutes } = await this.ask();
      this.code.src = `data:image/svg+xml,${encodeURIComponent(code)}`;
      this.anchor.href = href;
      this.code.hidden = this.anchor.hidden = false;
      setText(this.says, `Scan it with the other device's camera, or open the link there, within ${minutes} minutes.${onlyHere(href)}`);
    } catch (error) {
      this.code.hidden = this.anchor.hidden = true;
      setText(this.says, error instanceof Error ? error.message : String(error));
    }
    this.place.hidden = false;
    this.button.setAttribute('aria-expanded', 'true');
    this.button.disabled = false;
  }

  close() {
    this.place.hidden = true;
    this.button.setAttribute('aria-expanded', 'false');
    this.code.removeAttribute('src');
    this.anchor.removeAttribute('href');
  }
}

/** What an address of this machine alone is good for. @param {string} href */
export function onlyHere(href) {
  const { hostname } = new URL(href);
  const loopback = hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
  return loopback ? ' It works on this machine only; for phones start the agent with “voice-agent serve --lan”.' : '';
}
