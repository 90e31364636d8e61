import { mount } from 'svelte'
import '@/styles/base.css'
import App from '@/App.svelte'
import { session } from '@/lib/session.svelte'

void session.load()

const target = document.getElementById('app')
if (target) mount(App, { target })
