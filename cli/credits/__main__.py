from .program.main import main

main()
