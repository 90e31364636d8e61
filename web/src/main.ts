import '@/lib/first-view'
import { mount } from 'svelte'
import '@/styles/base.css'
import App from '@/App.svelte'
import { session } from '@/lib/session.svelte'

void session.load()

const target = document.getElementById('app')
// In a task of its own, so that the browser may paint between reading the script and building.
if (target) setTimeout(() => mount(App, { target }))
