import type { Attachment } from 'svelte/attachments'

/**
 * Sets style properties by script: the content security policy allows no `style` attribute in
 * markup, and what depends on data cannot be a class.
 */
export function css(
  properties: Readonly<Record<string, string>>,
): Attachment<HTMLElement | SVGElement> {
  return (element) => {
    for (const [name, value] of Object.entries(properties)) element.style.setProperty(name, value)
  }
}
